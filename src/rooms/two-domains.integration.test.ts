import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { type Answer, passwordOf, startTestServer } from '../testing/index.ts'

/** A request whose Host header is chosen, which `fetch` does not allow. */
async function ask(
  url: string,
  headers: Record<string, string>,
  method: string,
  path: string,
  body?: object,
): Promise<Answer> {
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    const sent = request(url + path, { method, headers }, resolve).on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
  return JSON.parse(await text(response))
}

test('users of two domains meet in one room, each under their own name and key', async () => {
  await using server = await startTestServer({ serverNames: ['interior.test', 'finance.test'] })
  const alice = await server.register('alice', { domain: 'interior.test' })
  const bob = await server.register('bob', { domain: 'finance.test' })
  // The same name on the other domain is somebody else.
  const other = await server.register('alice', { domain: 'finance.test' })
  expect([alice.userId, bob.userId, other.userId]).toEqual([
    '@alice:interior.test',
    '@bob:finance.test',
    '@alice:finance.test',
  ])
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'budget' })
  await bob.join('#budget:interior.test')
  const since = (await alice.get('/sync')).next_batch
  const { event_id: eventId } = await bob.send(room, 'm.room.message', { body: 'from finance' })
  const { rooms } = await alice.get('/sync', { since, timeout: 5000 })
  expect(rooms.join[room].timeline.events).toMatchObject([{ event_id: eventId, sender: bob.userId }])

  const [stored] = await server.ctx.events.byIds([eventId], { edges: true })
  expect(Object.keys(stored!.event.pdu.signatures)).toEqual(['finance.test'])
  const keyId = server.ctx.domains.keyOf('finance.test').keyId
  expect(Object.keys(stored!.event.pdu.signatures['finance.test']!)).toEqual([keyId])
  const { body: keys } = await server.request('get', '/_matrix/key/v2/server', {
    headers: { 'x-forwarded-host': 'finance.test' },
  })
  expect(keys).toMatchObject({ server_name: 'finance.test', verify_keys: { [keyId]: {} } })

  // An alias belongs to the domain of who makes it.
  const path = `/directory/room/${encodeURIComponent('#money:interior.test')}`
  expect((await bob.attempt('put', path, { body: { room_id: room } })).body.errcode).toBe('M_INVALID_PARAM')
})

test.each([
  [{ host: 'b.test' }, 'b.test'],
  [{ host: 'B.test:8008' }, 'b.test'],
  [{ host: 'matrix.b.test' }, 'b.test'],
  [{ host: 'chat.b.test' }, 'b.test'],
  [{ host: 'a.test' }, 'a.test'],
  [{ host: 'other.test' }, 'a.test'],
  [{ host: '127.0.0.1' }, 'a.test'],
  // Nobody here is a trusted proxy.
  [{ host: 'a.test', 'x-forwarded-host': 'b.test' }, 'a.test'],
  [{ host: 'b.test', 'x-forwarded-host': 'a.test' }, 'b.test'],
] as const)('before there is a token, %j asks for %s; then the token does', async (headers, domain) => {
  await using server = await startTestServer({
    serverNames: ['a.test', 'b.test'],
    config: {
      trusted_proxies: [],
      domains: [{ name: 'b.test', public_baseurl: 'https://matrix.b.test', hosts: ['chat.b.test'] }],
    },
  })
  const at = (method: string, path: string, body?: object, more: Record<string, string> = {}) =>
    ask(server.url, { ...headers, ...more }, method, path, body)
  const address = domain === 'b.test' ? 'matrix.b.test' : 'a.test'
  expect(await at('GET', '/.well-known/matrix/client')).toEqual({ 'm.homeserver': { base_url: `https://${address}` } })
  expect(await at('GET', '/.well-known/matrix/server')).toEqual({ 'm.server': `${address}:443` })
  expect(await at('GET', '/_matrix/key/v2/server')).toMatchObject({ server_name: domain })

  const password = passwordOf('carol')
  const auth = { type: 'm.login.dummy' }
  const registered = await at('POST', '/_matrix/client/v3/register', { username: 'carol', password, auth })
  expect(registered.user_id).toBe(`@carol:${domain}`)
  const identifier = { type: 'm.id.user', user: 'carol' }
  const login = { type: 'm.login.password', identifier, password }
  const { user_id: userId, access_token: token } = await at('POST', '/_matrix/client/v3/login', login)
  expect(userId).toBe(`@carol:${domain}`)
  const other = domain === 'a.test' ? 'b.test' : 'a.test'
  const elsewhere = (method: string, path: string, body?: object) =>
    ask(server.url, { host: other, authorization: `Bearer ${token}` }, method, path, body)
  expect(await elsewhere('POST', '/_matrix/client/v3/login', login)).toMatchObject({ errcode: 'M_FORBIDDEN' })

  // Whoever has a token is of its domain, whatever host is asked.
  const { content_uri: uri } = await elsewhere('POST', '/_matrix/media/v3/upload', {})
  expect(uri).toMatch(`mxc://${domain}/`)
  expect((await elsewhere('POST', '/_matrix/media/v1/create')).content_uri).toMatch(`mxc://${domain}/`)
  const named = { room_alias_name: 'hall' }
  const { room_id: roomId } = await elsewhere('POST', '/_matrix/client/v3/createRoom', named)
  const alias = encodeURIComponent(`#hall:${domain}`)
  expect(await elsewhere('GET', `/_matrix/client/v3/directory/room/${alias}`)).toEqual({
    room_id: roomId,
    servers: [domain],
  })
})
