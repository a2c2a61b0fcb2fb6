import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { createOrigins } from './client-address.ts'

function request(peer: string, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage
}

test('O17: nobody is believed unless they are trusted', () => {
  const headers = { 'x-forwarded-for': '9.9.9.9', 'x-forwarded-host': 'b.test', host: 'a.test' }
  for (const origins of [createOrigins([]), createOrigins(['10.0.0.0/8'])]) {
    expect(origins.addressOf(request('192.0.2.1', headers))).toBe('192.0.2.1')
    expect(origins.hostOf(request('192.0.2.1', headers))).toBe('a.test')
  }
})

test('a trusted proxy says who it speaks for, and the ones it trusts too', () => {
  const origins = createOrigins(['10.0.0.0/8', '::1'])
  const from = (chain: string): string => origins.addressOf(request('::ffff:10.0.0.1', { 'x-forwarded-for': chain }))
  expect(from('1.1.1.1')).toBe('1.1.1.1')
  expect(from('1.1.1.1, 2.2.2.2, 10.3.3.3')).toBe('2.2.2.2')
  expect(from('6.6.6.6, nonsense, 10.3.3.3')).toBe('10.3.3.3')
  expect(from('2001:db8::1')).toBe('2001:db8::1')
  const headers = { 'x-forwarded-host': 'b.test', host: 'a.test' }
  expect(origins.hostOf(request('::1', headers))).toBe('b.test')
})

test('what is no network is refused', () => {
  for (const entry of ['proxy', '10.0.0.0/33', '10.0.0.0/x', '::/129']) {
    expect(() => createOrigins([entry])).toThrow(/trusted_proxies/)
  }
})
