import { expect, test } from 'vitest'
import type { TestClient } from '../src/testing/index.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'

type Shown = { readonly state_key?: string; readonly content: { readonly body?: string } }

/** Syncs until something is in the room, and fails by the test's own time limit. */
async function happened(client: TestClient, room: string, isIt: (event: Shown) => boolean): Promise<void> {
  for (let since: string | undefined; ; ) {
    const sync = await client.sync({ timeout: 1000, ...(since !== undefined && { since }) })
    const events: Shown[] = sync.rooms?.join?.[room]?.timeline?.events ?? []
    if (events.some(isIt)) return
    since = sync.next_batch
  }
}

function seen(client: TestClient, room: string, body: string): Promise<void> {
  return happened(client, room, (event) => event.content.body === body)
}

test.each(['12', '10', '3', '1'])('a room of version %s is shared by two servers', async (version) => {
  await using one = await startFederatedServer()
  await using other = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat', room_version: version, name: 'Telegraph' })
  const via = one.ctx.domains.default
  const joined = await bob.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(via)}`)
  expect(joined.room_id).toBe(room)
  expect(await bob.getState(room, 'm.room.name')).toEqual({ name: 'Telegraph' })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from one' })
  await seen(bob, room, 'from one')
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from the other' })
  await seen(alice, room, 'from the other')
  const members = await alice.get(`/rooms/${encodeURIComponent(room)}/joined_members`)
  expect(Object.keys(members.joined).sort()).toEqual([alice.userId, bob.userId].sort())
})

test('a third server gets what the others send, and a room is found by its alias', async () => {
  await using one = await startFederatedServer()
  await using two = await startFederatedServer()
  await using three = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await two.register('bob')
  const carol = await three.register('carol')
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'lines' })
  const alias = `#lines:${one.ctx.domains.default}`
  await bob.join(alias)
  await carol.join(alias)
  // What is sent before one's server has heard of a join goes to those that were there.
  await happened(bob, room, (event) => event.state_key === carol.userId)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'to all' })
  await Promise.all([seen(alice, room, 'to all'), seen(carol, room, 'to all')])
})

test('keys and profiles of the users of another server are fetched from it', async () => {
  await using one = await startFederatedServer()
  await using other = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  await alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice' })
  const device_keys = { [alice.userId]: [] }
  const answer = await bob.post('/keys/query', { device_keys })
  expect(answer.failures).toEqual({})
  expect(await bob.get(`/profile/${encodeURIComponent(alice.userId)}`)).toEqual({ displayname: 'Alice' })
  const nobody = encodeURIComponent(`@nobody:${one.ctx.domains.default}`)
  expect((await bob.attempt('get', `/profile/${nobody}`)).status).toBe(404)
})

test('what one has read is seen on the other server', async () => {
  await using one = await startFederatedServer()
  await using other = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(one.ctx.domains.default)}`)
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'read me' })
  await seen(bob, room, 'read me')
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`)
  for (let since: string | undefined; ; ) {
    const sync = await alice.sync({ timeout: 1000, ...(since !== undefined && { since }) })
    const receipts = sync.rooms?.join?.[room]?.ephemeral?.events ?? []
    if (JSON.stringify(receipts).includes(bob.userId)) break
    since = sync.next_batch
  }
})

test('nobody is let in who is not allowed, or does not sign', async () => {
  await using one = await startFederatedServer({ allow: ['ministry.example'] })
  await using other = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  const via = encodeURIComponent(one.ctx.domains.default)
  const refused = await bob.attempt('post', `/join/${encodeURIComponent(room)}?via=${via}`, { body: {} })
  expect(refused.status).toBe(403)
  const unsigned = await one.request('put', '/_matrix/federation/v1/send/1', { body: {} })
  expect(unsigned).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
})
