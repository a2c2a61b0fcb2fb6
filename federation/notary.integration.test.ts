import { expect, test } from 'vitest'
import type { JsonObject } from '../src/matrix/json.ts'
import { verifyJson } from '../src/matrix/signatures.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { sees, via } from './two-servers.fixtures.ts'

const query = (at: TestServer, servers: JsonObject) =>
  at.request('post', '/_matrix/key/v2/query', { body: { server_keys: servers } })

function isSignedBy(answer: JsonObject, server: TestServer): boolean {
  const { keyId, publicKey } = server.ctx.domains.keyOf(server.ctx.domains.default)
  return verifyJson(answer, server.ctx.domains.default, keyId, publicKey)
}

test('a notary signs what a server publishes, and knows it when the server is gone', async () => {
  await using notary = await startFederatedServer()
  const remote = await startFederatedServer()
  const name = remote.ctx.domains.default
  const { body } = await query(notary, { [name]: {} })
  expect(body.server_keys).toHaveLength(1)
  const [told] = body.server_keys
  expect(told.server_name).toBe(name)
  expect([isSignedBy(told, remote), isSignedBy(told, notary)]).toEqual([true, true])
  await remote.close()
  const one = await notary.request('get', `/_matrix/key/v2/query/${encodeURIComponent(name)}`)
  expect(one.body.server_keys.map(({ server_name }: JsonObject) => server_name)).toEqual([name])
})

test('a notary answers for itself, leaves out who cannot be asked, and refuses what is no question', async () => {
  await using notary = await startFederatedServer({ deny: ['denied.test'] })
  const own = notary.ctx.domains.default
  const { body } = await query(notary, {
    [own]: { 'ed25519:any': { minimum_valid_until_ts: 1 } },
    'denied.test': {},
    'not a name': {},
  })
  expect(body.server_keys.map(({ server_name }: JsonObject) => server_name)).toEqual([own])
  expect((await query(notary, {})).body).toEqual({ server_keys: [] })
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`s${index}.test`, {}]))
  expect((await query(notary, many)).status).toBe(413)
  for (const wrong of [[], 'all', { [own]: 1 }, { [own]: { 'ed25519:a': { minimum_valid_until_ts: 'x' } } }]) {
    const answer = await notary.request('post', '/_matrix/key/v2/query', { body: { server_keys: wrong } })
    expect(answer.status).toBe(400)
  }
})

test('keys of a server that does not answer are had from a notary, who must be one, and contradicts nobody', async () => {
  await using notary = await startFederatedServer()
  await using asking = await startFederatedServer({ notaries: [notary.ctx.domains.default] })
  await using other = await startFederatedServer()
  const gone = await startFederatedServer()
  const olga = await other.register('olga')
  const room = await olga.createRoom({ preset: 'public_chat' })
  const alice = await gone.register('alice')
  await alice.post(`/join/${encodeURIComponent(room)}?via=${via(other)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'signed before I went' })
  await sees(olga, room, 'signed before I went')
  const known = await query(notary, { [gone.ctx.domains.default]: {} })
  expect(known.body.server_keys).toHaveLength(1)
  await gone.close()
  const bob = await asking.register('bob')
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(other)}`)
  // Without the key the event would not be taken in.
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'here' })
  const page = await bob.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 50 })
  expect(page.chunk.map(({ content }: JsonObject) => (content as JsonObject).body)).toContain('signed before I went')
  expect(await sees(bob, room, 'here')).toBeDefined()
}, 60_000)
