import { expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../testing/index.ts'

const key = 'org.matrix.msc4429.users'
const filterFor = (ids: string[], room: object = {}) =>
  JSON.stringify({ 'org.matrix.msc4429.profile_fields': { ids }, room })
const filter = filterFor(['m.status', 'displayname'])

async function setField(client: TestClient, field: string, value: unknown): Promise<void> {
  await client.put(`/profile/${encodeURIComponent(client.userId)}/${field}`, { [field]: value })
}

function updates(sync: Answer, client: TestClient): Answer {
  return sync[key]?.[client.userId]?.profile_updates
}

test('who shares a room is told of the fields that were asked for: all at first, then what changes', async () => {
  await using server = await startTestServer()
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await setField(bob, 'm.status', { text: 'away' })
  await setField(carol, 'm.status', { text: 'elsewhere' })
  const first = await alice.sync({ filter })
  expect(updates(first, bob)).toEqual({ 'm.status': { text: 'away' }, displayname: 'bob' })
  expect(updates(first, carol)).toBeUndefined()
  expect(await alice.sync()).not.toHaveProperty(key)
  // A sync that waits ends with the change, and with the user's own.
  const waiting = alice.sync({ filter, since: first.next_batch, timeout: 20_000 })
  await setField(bob, 'm.status', { text: 'back' })
  expect(updates(await waiting, bob)).toEqual({ 'm.status': { text: 'back' } })
  const own = alice.sync({ filter, since: (await waiting).next_batch, timeout: 20_000 })
  await setField(alice, 'm.status', { text: 'here' })
  const since = (await own).next_batch
  expect(updates(await own, alice)).toEqual({ 'm.status': { text: 'here' } })
  expect(await alice.sync({ filter, since })).not.toHaveProperty(key)
  // What nobody asked for, what is elsewhere, and what is gone.
  await setField(bob, 'm.other', 1)
  await setField(carol, 'm.status', { text: 'still elsewhere' })
  expect(await alice.sync({ filter, since })).not.toHaveProperty(key)
  await bob.delete(`/profile/${encodeURIComponent(bob.userId)}/m.status`)
  expect((await alice.sync({ filter, since }))[key]).toEqual({
    [bob.userId]: { profile_updates: { 'm.status': null } },
  })
  // Who comes is told of with what they have.
  await carol.join(room)
  expect(updates(await alice.sync({ filter, since }), carol)).toEqual({
    'm.status': { text: 'still elsewhere' },
    displayname: 'carol',
  })
})

test('with members loaded lazily the first answer has those who are shown', async () => {
  await using server = await startTestServer()
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  for (const client of [bob, carol]) {
    await client.join(room)
    await setField(client, 'm.status', client.userId)
  }
  await carol.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hi' })
  const lazy = { state: { lazy_load_members: true }, timeline: { limit: 1 } }
  const first = await alice.sync({ filter: filterFor(['m.status'], lazy) })
  expect(Object.keys(first[key])).toEqual([carol.userId])
})

test('other processes tell it too; switched off nobody does', async () => {
  await using one = await startTestServer({ redis: true })
  await using other = await startTestServer({ sharing: one })
  const [alice, bob] = [await one.register('alice'), await one.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const there = other.adopt(alice)
  const { next_batch: since } = await there.sync({ filter })
  const waiting = there.sync({ filter, since, timeout: 20_000 })
  await setField(bob, 'm.status', 'changed')
  expect(updates(await waiting, bob)).toEqual({ 'm.status': 'changed' })
  await using late = await startTestServer({ sharing: one })
  expect(updates(await late.adopt(alice).sync({ filter, since }), bob)).toEqual({ 'm.status': 'changed' })
  await using off = await startTestServer({ sharing: one, config: { experimental: { msc4429: false } } })
  expect(await off.adopt(alice).sync({ filter })).not.toHaveProperty(key)
  expect((await alice.attempt('get', '/sync', { query: { filter: filterFor([5] as never) } })).status).toBe(400)
})
