import { expect, test } from 'vitest'
import { parseTarget } from './preview-target.ts'

const config = (rules: object = {}) => ({
  url_previews: { ports: [80, 443], allow_hosts: ['*'], deny_hosts: [], ...rules } as never,
})

test.each([
  ['ftp://example.com/', 'M_FORBIDDEN'],
  ['file:///etc/passwd', 'M_INVALID_PARAM'],
  ['javascript:alert(1)', 'M_INVALID_PARAM'],
  ['http://user:pass@example.com/', 'M_FORBIDDEN'],
  ['http://user@example.com/', 'M_FORBIDDEN'],
  ['http://example.com:22/', 'M_FORBIDDEN'],
  ['https://example.com:25/', 'M_FORBIDDEN'],
  ['example.com', 'M_INVALID_PARAM'],
  ['http://', 'M_INVALID_PARAM'],
  [`http://example.com/${'x'.repeat(2048)}`, 'M_INVALID_PARAM'],
])('%s is refused', (text, errcode) => {
  expect(() => parseTarget(config(), text)).toThrow(expect.objectContaining({ errcode }))
})

test('a domain is denied with everything below it, however it is written', () => {
  const denied = config({ deny_hosts: ['Intern.example.', '127.0.0.1', 'Bücher.example', '::1'] })
  for (const host of [
    'intern.example',
    'a.INTERN.example',
    'intern.example.',
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    'www.bücher.example',
    'xn--bcher-kva.example',
    '[::1]',
    '[0:0::1]',
  ]) {
    expect(() => parseTarget(denied, `http://${host}/`), host).toThrow(
      expect.objectContaining({ errcode: 'M_FORBIDDEN' }),
    )
  }
  expect(parseTarget(denied, 'http://notintern.example/a?b#c').href).toBe('http://notintern.example/a?b')
  const allowed = config({ allow_hosts: ['gov.example'] })
  expect(parseTarget(allowed, 'https://www.gov.example/').hostname).toBe('www.gov.example')
  expect(() => parseTarget(allowed, 'https://example/')).toThrow()
})

test('a redirect is relative to where it came from', () => {
  expect(parseTarget(config(), '../b', new URL('https://example.com/x/a')).href).toBe('https://example.com/b')
})
