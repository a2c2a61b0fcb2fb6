import { expect, test } from 'vitest'
import { attackedRoom } from './attacked-room.fixtures.ts'

const enc = encodeURIComponent
/** JSON that PostgreSQL would not look into, were it asked to. */
const odd = { displayname: 'M\u0000\\u0000"', note: ['\\', '\u0000'] }

test('what PostgreSQL cannot read as JSON, in events that decide who sees what, disturbs nobody', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, alice, roomId, room } = scene
  const mallory = `@mallory:${hostile.name}`
  const state = `/rooms/${enc(roomId)}/state`
  const visibility = { history_visibility: 'invited', note: '\u0000' }
  await alice.put(`${state}/m.room.history_visibility/`, visibility)
  const joined = { type: 'm.room.member', stateKey: mallory, content: { membership: 'join', ...odd } }
  await room.push(home, room.build(joined))
  expect((await alice.get(`${state}/m.room.member/${enc(mallory)}`)).displayname).toBe(odd.displayname)
  const { event_id: said } = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'said' })
  const ask = (path: string) => hostile.request(home, 'GET', `/_matrix/federation/v1${path}`)
  const { next_batch: from } = await alice.sync()
  for (const path of [
    `/event/${enc(said)}`,
    `/backfill/${enc(roomId)}?v=${enc(said)}&limit=5`,
    `/state_ids/${enc(roomId)}?event_id=${enc(said)}`,
  ]) {
    expect((await ask(path)).status, path).toBe(200)
  }
  await alice.membership(roomId, 'kick', { user_id: mallory, reason: '\u0000' })
  // Of the time when it was in the room it may still ask.
  expect((await ask(`/event/${enc(said)}`)).status).toBe(200)
  await alice.put(`${state}/m.room.member/${enc(alice.userId)}`, { membership: 'join', displayname: '\u0000' })
  await alice.membership(roomId, 'leave')
  const { next_batch: to } = await alice.sync()
  const { left } = await alice.get('/keys/changes', { from, to })
  expect(left.length).toBeGreaterThan(0)
  const sliding = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
  expect((await alice.attempt('post', sliding, { body: { conn_id: 'odd', lists: {} } })).status).toBe(200)
})
