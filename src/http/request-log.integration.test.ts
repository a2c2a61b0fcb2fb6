import { expect, test } from 'vitest'
import { createLog } from '../log.ts'
import { startTestServer, type TestServerOptions } from '../testing/index.ts'
import { shownAddress } from './observe-request.ts'

type Line = { readonly [key: string]: unknown }

async function start(log: { level?: 'info' | 'debug'; [key: string]: unknown }, options: TestServerOptions = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const server = await startTestServer({
    ...options,
    log: createLog({ log: { level: log.level ?? 'info' } }, destination),
    config: { log, trusted_proxies: ['127.0.0.1'], ...options.config },
  })
  /** The line of a request comes when its answer is out, which is a moment after it arrived. */
  const requests = async (count: number): Promise<Line[]> => {
    const found = (): Line[] => lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg === 'Request')
    await expect.poll(found).toHaveLength(count)
    return found()
  }
  return { server, lines, requests }
}

test('A05: a request is logged by its operation: without its path, its token or what was said', async () => {
  const { server, lines, requests } = await start({ requests: true })
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'a quite secret word' })
  await server.request('get', `/_matrix/client/v3/sync?access_token=${alice.accessToken}`)
  const told = await requests(4)
  expect(told[2]).toMatchObject({
    level: 30,
    operation: 'PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
    status: 200,
    seconds: expect.any(Number),
    requestId: expect.stringMatching(/^[\w-]+$/),
  })
  expect(new Set(told.map(({ requestId }) => requestId)).size).toBe(4)
  const text = lines.join('')
  for (const hidden of ['secret', alice.accessToken, alice.userId, room, '127.0.0.1'])
    expect(text).not.toContain(hidden)
})

test('nothing is logged of requests unless it is wanted', async () => {
  const { server, lines } = await start({})
  await using _ = server
  await server.register('alice')
  expect(lines.filter((line) => line.includes('Request'))).toEqual([])
})

test('an address is logged as far as it is wanted, and the id is that of the proxy', async () => {
  const { server, requests } = await start({ requests: true, addresses: 'network' })
  await using _ = server
  const headers = { 'x-forwarded-for': '198.51.100.7', 'x-request-id': 'edge-17' }
  await server.request('get', '/_matrix/client/versions', { headers })
  await server.request('get', '/_matrix/client/versions', { headers: { 'x-request-id': 'two words"' } })
  const [proxied, odd] = await requests(2)
  expect(proxied).toMatchObject({ requestId: 'edge-17', address: '198.51.100.0/24' })
  expect(odd!.requestId).not.toBe('two words"')
})

test('who is no proxy does not name requests', async () => {
  const { server, requests } = await start(
    { requests: true },
    { config: { log: { requests: true }, trusted_proxies: [] } },
  )
  await using _ = server
  await server.request('get', '/_matrix/client/versions', { headers: { 'x-request-id': 'edge-17' } })
  const [line] = await requests(1)
  expect(line!.requestId).not.toBe('edge-17')
})

test('a bug is answered with the id that its line in the log has, and the line quotes no row', async () => {
  const { server, lines } = await start({})
  await using _ = server
  const alice = await server.register('alice')
  await server.ctx.database.transaction((query) =>
    query(`alter table account_data add constraint refused check (content not like '%secret%')`, []),
  )
  const refused = await alice.attempt('put', `/_matrix/client/v3/user/${alice.userId}/account_data/test`, {
    body: { word: 'a quite secret word' },
  })
  expect(refused.status).toBe(500)
  const line = lines.map((one) => JSON.parse(one) as Line).find(({ msg }) => msg === 'A request failed')
  expect(line).toMatchObject({ requestId: refused.headers.get('x-request-id'), err: { code: '23514' } })
  expect(lines.join('')).not.toContain('quite secret')
})

test('networks of addresses', () => {
  expect(shownAddress('198.51.100.7', 'full')).toBe('198.51.100.7')
  expect(shownAddress('198.51.100.7', 'none')).toBeUndefined()
  expect(shownAddress('2001:db8:12:34::7', 'network')).toBe('2001:db8:12::/48')
  expect(shownAddress('2001:db8::7', 'network')).toBe('2001:db8:0::/48')
  expect(shownAddress('::1', 'network')).toBe('0:0:0::/48')
  expect(shownAddress('fe80::1%eth0', 'network')).toBe('fe80:0:0::/48')
})

test('at debug statements are named with the request that they are for, those of a batch too', async () => {
  const { server, lines } = await start({ level: 'debug' })
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const path = `/_matrix/client/v3/rooms/${room}/send/m.room.message/t`
  const body = { msgtype: 'm.text', body: 'a quite secret word' }
  const headers = { 'x-request-id': 'edge-18' }
  await server.request('put', path, { token: alice.accessToken, headers, body })
  const statements = lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg === 'Statement')
  const own = statements.filter(({ requestId }) => requestId === 'edge-18')
  expect(own.map(({ statement }) => statement)).toContain('insert events')
  expect(own.every(({ seconds }) => typeof seconds === 'number')).toBe(true)
  expect(JSON.stringify(statements)).not.toContain('secret')
})
