import { expect, test } from 'vitest'
import { createCaches } from '../../src/storage/caches.ts'
import { createDiscovery, type Lookups, type WellKnown } from './discovery.ts'

function discovery(options: { wellKnown?: WellKnown; srv?: { [name: string]: [string, number] } }) {
  const asked: string[] = []
  let now = 0
  const lookups: Lookups = {
    async wellKnown(host) {
      asked.push(host)
      return options.wellKnown
    },
    async srv(name) {
      const found = options.srv?.[name]
      return found ? [{ name: found[0], port: found[1], priority: 10, weight: 5 }] : []
    },
    now: () => now,
  }
  const advance = (milliseconds: number): void => {
    now += milliseconds
  }
  return { discover: createDiscovery(lookups, createCaches()), asked, advance }
}

const delegated = (to: string, cacheControl?: string): WellKnown => ({ body: { 'm.server': to }, cacheControl })

test.each([
  ['1.2.3.4', { host: '1.2.3.4', port: 8448, hostHeader: '1.2.3.4' }],
  ['[2001:db8::1]:99', { host: '2001:db8::1', port: 99, hostHeader: '[2001:db8::1]:99' }],
  ['a.test:99', { host: 'a.test', port: 99, hostHeader: 'a.test:99' }],
])('%s is asked nothing about', async (server, endpoint) => {
  const { discover, asked } = discovery({ wellKnown: delegated('b.test') })
  expect(await discover(server)).toEqual(endpoint)
  expect(asked).toEqual([])
})

test('the well-known file delegates to a literal, a port, an SRV record or port 8448', async () => {
  const to = (server: string, srv = {}) => discovery({ wellKnown: delegated(server), srv }).discover('a.test')
  expect(await to('1.2.3.4')).toEqual({ host: '1.2.3.4', port: 8448, hostHeader: '1.2.3.4' })
  expect(await to('b.test:99')).toEqual({ host: 'b.test', port: 99, hostHeader: 'b.test:99' })
  const srv = { '_matrix-fed._tcp.b.test': ['c.test', 44] as const }
  expect(await to('b.test', srv)).toEqual({ host: 'c.test', port: 44, hostHeader: 'b.test' })
  expect(await to('b.test')).toEqual({ host: 'b.test', port: 8448, hostHeader: 'b.test' })
})

test('without one the deprecated SRV record counts too, and then port 8448', async () => {
  const srv = { '_matrix._tcp.a.test': ['c.test', 44] as [string, number] }
  expect(await discovery({ srv }).discover('a.test')).toEqual({ host: 'c.test', port: 44, hostHeader: 'a.test' })
  expect(await discovery({}).discover('a.test')).toEqual({ host: 'a.test', port: 8448, hostHeader: 'a.test' })
})

test.each([
  ['max-age=0', 299_999, 300_001],
  ['public, max-age=1000000000', 172_799_999, 172_800_001],
])('F47: %s is kept for no less and no more than the limits', async (cacheControl, before, after) => {
  const { discover, asked, advance } = discovery({ wellKnown: delegated('b.test:1', cacheControl) })
  await discover('a.test')
  advance(before)
  await discover('a.test')
  expect(asked).toHaveLength(1)
  advance(after - before)
  await discover('a.test')
  expect(asked).toHaveLength(2)
})
