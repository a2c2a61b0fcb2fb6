import { connect } from 'node:net'
import { Type } from '@sinclair/typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, startServer } from '../server.ts'
import { startTestServer, type TestServer } from '../testing/index.ts'
import { endpoint } from './endpoint.ts'
import { rawJson } from './response.ts'
import { anyObject } from './validation.ts'

const path = endpoint({
  method: 'get',
  path: ['/p/{first}/x/{second}', '/p/{first}/x/', '/p/{first}/x'],
  auth: 'none',
  handle: (_ctx, { params }) => params,
})
const echo = endpoint({
  method: 'post',
  path: '/echo',
  auth: 'none',
  body: anyObject,
  handle: (_ctx, { body }) => body,
})
const put = endpoint({ method: 'put', path: '/echo', auth: 'none', body: anyObject, handle: (_ctx, { body }) => body })
const typed = endpoint({
  method: 'post',
  path: '/typed',
  auth: 'none',
  query: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    full: Type.Optional(Type.Boolean()),
    via: Type.Optional(Type.Array(Type.String())),
  }),
  body: Type.Object({ name: Type.String(), depth: Type.Optional(Type.Object({ a: Type.Array(Type.Integer()) })) }),
  handle: (_ctx, { query, body }) => ({ query, body }),
})
const fails = endpoint({
  method: 'get',
  path: '/fails',
  auth: 'none',
  handle() {
    throw new Error('the secret is 42')
  },
})
const fragments = endpoint({
  method: 'get',
  path: '/fragments',
  auth: 'none',
  handle: () => rawJson(['{"a":', Buffer.from('"é"'), '}']),
})
const whoami = endpoint({
  method: 'get',
  path: '/whoami',
  auth: 'user',
  handle: (_ctx, { requester, domain, address }) => ({ user: requester.userId, domain, address }),
})

let server: TestServer
let running: RunningServer
let url: string
beforeAll(async () => {
  server = await startTestServer()
  running = await startServer(server.ctx, { port: 0, endpoints: [path, echo, put, typed, fails, fragments, whoami] })
  url = `http://127.0.0.1:${running.port}`
})
afterAll(async () => {
  await running.close()
  await server.close()
})

async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await fetch(url + path, init)
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers }
}

/** Sends bytes and returns everything that comes back until the connection ends. */
function talk(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(running.port, '127.0.0.1', () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    socket.on('end', () => resolve(answer))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

describe('paths', () => {
  test('parameters are decoded once, a slash inside them too', async () => {
    expect((await ask('/p/%21a%2Fb%3Ac/x/%2525%3F')).body).toEqual({ first: '!a/b:c', second: '%25?' })
    expect((await ask('/p/a/x/')).body).toEqual({ first: 'a', second: '' })
    expect((await ask('/p/a/x')).body).toEqual({ first: 'a', second: '' })
    expect((await ask(`/p/${'a'.repeat(5000)}/x`)).status).toBe(200)
  })

  test.each(['/p/%zz/x', '/p/%/x', '/p/%ff/x', '/p/%00/x', '/p/a/x/%c3'])('%s is not a path', async (path) => {
    expect(await ask(path)).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  })

  test.each(['/P/a/x', '/p/a/X', '/p/a/x/b/', '//p/a/x', '/x/p/a/x', '/', '/ech', '/echo/', '/%65cho/x'])(
    'C22: %s is unknown',
    async (path) => {
      expect(await ask(path)).toMatchObject({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } })
    },
  )

  test('another method is 405', async () => {
    expect(await ask('/echo')).toMatchObject({ status: 405, body: { errcode: 'M_UNRECOGNIZED' } })
    expect(await ask('/p/a/x', { method: 'DELETE' })).toMatchObject({ status: 405 })
    expect(await ask('/nothing', { method: 'PATCH' })).toMatchObject({ status: 404 })
  })

  test('HEAD is GET without a body', async () => {
    const answer = await ask('/p/a/x', { method: 'HEAD' })
    expect(answer).toMatchObject({ status: 200, body: undefined })
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0)
  })
})

describe('headers', () => {
  test.each([
    ['/p/a/x', 'GET', 200],
    ['/nothing', 'GET', 404],
    ['/fails', 'GET', 500],
    ['/anything', 'OPTIONS', 204],
  ])('any web client may read %s', async (path, method, status) => {
    const answer = await ask(path, { method })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.get('access-control-allow-headers')).toContain('Authorization')
    expect(answer.headers.get('access-control-allow-methods')).toContain('PUT')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(answer.headers.get('x-powered-by')).toBeNull()
  })
})

describe('bodies', () => {
  const post = (body: string, headers: Record<string, string> = {}) => ask('/echo', { method: 'POST', body, headers })

  test('JSON, whatever its type is called', async () => {
    for (const type of ['application/json', 'APPLICATION/JSON; charset=utf-8', 'text/plain', 'x']) {
      expect(await post('{"a":"é"}', { 'content-type': type })).toMatchObject({ status: 200, body: { a: 'é' } })
    }
  })

  test('no body is an empty object, except where something is put', async () => {
    expect(await ask('/echo', { method: 'POST' })).toMatchObject({ status: 200, body: {} })
    expect(await ask('/echo', { method: 'PUT' })).toMatchObject({ status: 400, body: { errcode: 'M_NOT_JSON' } })
  })

  test('keys of Object.prototype are data', async () => {
    const text = '{"__proto__":{"x":1},"constructor":2,"toString":3}'
    const response = await fetch(`${url}/echo`, { method: 'POST', body: text })
    expect(await response.text()).toBe(text)
  })

  test.each([
    ['{', 'M_NOT_JSON'],
    ['{"a":NaN}', 'M_NOT_JSON'],
    ['{"a":1e400}', 'M_BAD_JSON'],
    ['{"a":1.1}', 'M_BAD_JSON'],
    ['{"a":-0}', 'M_BAD_JSON'],
    ['{"a":9007199254740993}', 'M_BAD_JSON'],
    ['{"a":1,"a":2}', 'M_BAD_JSON'],
    ['{"a":"\\ud800"}', 'M_BAD_JSON'],
    ['[]', 'M_BAD_JSON'],
    ['null', 'M_BAD_JSON'],
    [`${'['.repeat(60_000)}${']'.repeat(60_000)}`, 'M_BAD_JSON'],
  ])('%.30s is refused', async (text, errcode) => {
    expect(await post(text)).toMatchObject({ status: 400, body: { errcode } })
  })

  test('bytes that are not UTF-8 are refused', async () => {
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])
    expect(await ask('/echo', { method: 'POST', body })).toMatchObject({ status: 400, body: { errcode: 'M_NOT_JSON' } })
  })

  test('too much is refused, before it is read if its length is said', async () => {
    expect(await post(`{"a":"${'x'.repeat(140_000)}"}`)).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' },
    })
    const announced = await talk('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n')
    expect(announced).toMatch(/^HTTP\/1.1 413 /)
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    const endless = await talk(`POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}`)
    expect(endless).toMatch(/^HTTP\/1.1 413 /)
  })

  test('C23: multipart and compressed bodies are refused unread', async () => {
    for (const header of ['Content-Type: Multipart/Form-Data; boundary=x', 'Content-Encoding: gzip']) {
      const answer = await talk(`POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${header}\r\n\r\n`)
      expect(answer).toMatch(/^HTTP\/1.1 415 /)
      expect(answer).toMatch(/Connection: close/i)
    }
  })
})

describe('validation', () => {
  const post = (query: string, body: unknown) => ask(`/typed${query}`, { method: 'POST', body: JSON.stringify(body) })

  test('query texts become what the schema says; unknown keys of a body stay', async () => {
    const answer = await post('?limit=5&full=true&via=a&via=b&unknown=1', { name: 'x', other: 1 })
    expect(answer.body).toEqual({
      query: { limit: 5, full: true, via: ['a', 'b'] },
      body: { name: 'x', other: 1 },
    })
  })

  test.each([
    ['?limit=0', { name: 'x' }, 'M_INVALID_PARAM'],
    ['?limit=1.5', { name: 'x' }, 'M_INVALID_PARAM'],
    ['?limit=x', { name: 'x' }, 'M_INVALID_PARAM'],
    ['?full=yes', { name: 'x' }, 'M_INVALID_PARAM'],
    ['', {}, 'M_MISSING_PARAM'],
    ['', { name: 1 }, 'M_BAD_JSON'],
    ['', { name: null }, 'M_BAD_JSON'],
    ['', { name: 'x', depth: { a: ['1'] } }, 'M_BAD_JSON'],
  ])('%s %j is refused', async (query, body, errcode) => {
    expect(await post(query, body)).toMatchObject({ status: 400, body: { errcode } })
  })
})

describe('answers', () => {
  test('fragments are joined', async () => {
    expect((await ask('/fragments')).body).toEqual({ a: 'é' })
  })

  test('a bug is answered without detail', async () => {
    const answer = await ask('/fails')
    expect(answer).toMatchObject({ status: 500, body: { errcode: 'M_UNKNOWN', error: 'Internal server error' } })
    expect(JSON.stringify(answer.body)).not.toContain('42')
  })

  test('O04: pipelined requests of two users are answered in order', async () => {
    const [alice, bob] = await Promise.all([server.register('alice'), server.register('bob')])
    const requests = Array.from({ length: 100 }, (_, index) => {
      const token = index % 2 === 0 ? alice.accessToken : bob.accessToken
      const last = index === 99 ? 'Connection: close\r\n' : ''
      return `GET /whoami HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n${last}\r\n`
    })
    const users = [...(await talk(requests.join(''))).matchAll(/"user":"@(\w+):/g)].map((match) => match[1])
    expect(users).toEqual(Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? 'alice' : 'bob')))
  })

  test.each([
    'Content-Length: 2\r\nTransfer-Encoding: chunked',
    'Content-Length: 2\r\nContent-Length: 3',
    'Transfer-Encoding: xchunked',
    'X-Folded: a\r\n b',
    'X-Bare: a\nX-Other: b',
  ])('O05: a request with %j is refused and the connection ends', async (headers) => {
    expect(await talk(`POST /echo HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n{}`)).toMatch(/^HTTP\/1.1 400 /)
  })
})

describe('authentication', () => {
  const authorized = (...headers: string[]) =>
    talk(`GET /whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`)

  test('a token names its user; the scheme is read without case', async () => {
    const carol = await server.register('carol')
    const answer = await authorized(`authorization: bearer ${carol.accessToken}`)
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    expect(answer).toContain('{"user":"@carol:a.test","domain":"a.test","address":"127.0.0.1"}')
  })

  test('A04: anything but one good token is 401', async () => {
    const { accessToken } = await server.register('dora')
    const attempts = [
      [],
      ['Authorization: Bearer '],
      ['Authorization: Bearer'],
      ['Authorization: Bearer null'],
      ['Authorization: Bearer undefined'],
      [`Authorization: Basic ${accessToken}`],
      [`Authorization: ${accessToken}`],
      [`Authorization: Bearer ${accessToken} `, `Authorization: Bearer ${accessToken}`],
      [`Authorization: Bearer ${accessToken}`, 'Authorization: Bearer other'],
      [`Authorization: Bearer ${accessToken}x`],
    ]
    for (const headers of attempts) expect(await authorized(...headers), headers.join()).toMatch(/^HTTP\/1.1 401 /)
  })

  test('A05: a token in the URL is ignored, and refused beside another', async () => {
    const { accessToken } = await server.register('emma')
    const header = { headers: { authorization: `Bearer ${accessToken}` } }
    expect(await ask(`/whoami?access_token=${accessToken}`)).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    })
    expect(await ask(`/whoami?access_token=${accessToken}`, header)).toMatchObject({ status: 200 })
    expect(await ask('/whoami?access_token=other', header)).toMatchObject({ status: 401 })
  })

  test('a token in the URL counts where the configuration says so', async () => {
    await using open = await startTestServer({ config: { sessions: { allow_query_access_token: true } } })
    const { accessToken } = await open.register('fay')
    const who = '/_matrix/client/v3/account/whoami'
    expect(await open.request('get', `${who}?access_token=${accessToken}`)).toMatchObject({ status: 200 })
    expect(await open.request('get', `${who}?access_token=${accessToken}&access_token=x`)).toMatchObject({
      status: 401,
    })
  })

  test('a warm request costs no statement', async () => {
    const gail = await server.register('gail')
    const header = { headers: { authorization: `Bearer ${gail.accessToken}` } }
    await ask('/whoami', header)
    const before = server.ctx.database.cost.statements
    for (let count = 0; count < 20; count++) expect((await ask('/whoami', header)).status).toBe(200)
    expect(server.ctx.database.cost.statements).toBe(before)
  })
})
