import { expect, test } from 'vitest'
import type { Answer } from '../src/testing/test-client.ts'
import { attackedRoom } from './attacked-room.fixtures.ts'
import { leftBy } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const say = (body: string) => ({ content: { msgtype: 'm.text', body } })

test('who is put out of a room hears of it, although their server lacks what came before', async () => {
  await using scene = await attackedRoom()
  const { home, alice, carol, roomId, room } = scene
  const { next_batch: since } = await carol.sync()
  // Nobody tells it to the server of Carol.
  await room.push(home, room.build(say('for some alone')))
  await alice.membership(roomId, 'kick', { user_id: carol.userId })
  const left = await leftBy(carol, roomId, since)
  expect(left.timeline.events.at(-1)).toMatchObject({ sender: alice.userId, content: { membership: 'leave' } })
})

test('a server that was put out of a room may ask about the time when it was in it, and about nothing else', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, alice, roomId } = scene
  const before: Answer = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'before' })
  const kick: Answer = await alice
    .membership(roomId, 'kick', { user_id: `@mallory:${hostile.name}` })
    .then(() => alice.get(`/rooms/${enc(roomId)}/state/m.room.member/${enc(`@mallory:${hostile.name}`)}?format=event`))
  const after: Answer = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'after' })
  const ask = async (method: string, path: string, body?: object) => {
    const answer = await hostile.request(home, method, `/_matrix/federation/v1${path}`, { ...(body && { body }) })
    return answer.status === 200 ? answer.body : answer.status
  }
  const missing = (latest: string) =>
    ask('POST', `/get_missing_events/${enc(roomId)}`, { earliest_events: [], latest_events: [latest], limit: 2 })
  const bodies = ({ events, pdus }: Answer) => (events ?? pdus).flatMap(({ content }: Answer) => content.body ?? [])
  expect(bodies(await missing(kick.event_id))).toEqual(['before'])
  expect(bodies(await ask('GET', `/backfill/${enc(roomId)}?v=${enc(kick.event_id)}&limit=2`))).toEqual(['before'])
  expect(bodies(await ask('GET', `/event/${enc(before.event_id)}`))).toEqual(['before'])
  expect(await ask('GET', `/state_ids/${enc(roomId)}?event_id=${enc(kick.event_id)}`)).toHaveProperty('pdu_ids')
  expect(await ask('GET', `/event_auth/${enc(roomId)}/${enc(kick.event_id)}`)).toHaveProperty('auth_chain')
  expect(await missing(after.event_id)).toBe(403)
  expect(await ask('GET', `/backfill/${enc(roomId)}?v=${enc(after.event_id)}&limit=2`)).toBe(403)
  expect(await ask('GET', `/event/${enc(after.event_id)}`)).toBe(404)
  for (const id of [after.event_id, '$unknown']) {
    expect(await ask('GET', `/state_ids/${enc(roomId)}?event_id=${enc(id)}`)).toBe(403)
    expect(await ask('GET', `/event_auth/${enc(roomId)}/${enc(id)}`)).toBe(403)
  }
})
