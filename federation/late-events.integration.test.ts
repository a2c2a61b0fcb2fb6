import { expect, test } from 'vitest'
import type { Answer } from '../src/testing/test-client.ts'
import { hostRoom } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'

const enc = encodeURIComponent

test('an event that comes late and undoes what was told is told with what holds instead, by each kind of sync', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  const derek = room.user('derek')
  room.add({
    type: 'm.room.power_levels',
    stateKey: '',
    content: { users: { [room.user()]: 100, [derek]: 50 } },
  })
  room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'join' } })
  const first = room.add({ type: 'm.room.topic', stateKey: '', content: { topic: 'first' } })
  room.changes.send_join = (answer) => ({ ...answer, auth_chain: room.events.map(({ pdu }) => pdu) })
  hostile.answer = (asked) => room.answerTo(asked)
  await alice.post(`/join/${enc(room.roomId)}?via=${enc(hostile.name)}`)
  const send = (...events: { pdu: object }[]) =>
    hostile.send(
      home,
      events.map(({ pdu }) => pdu),
    )
  const topic = async () => (await alice.get(`/rooms/${enc(room.roomId)}/state/m.room.topic/`)).topic

  const second = room.build({ type: 'm.room.topic', stateKey: '', sender: derek, content: { topic: 'second' } })
  await send(second)
  expect(await topic()).toBe('second')
  const { next_batch: since } = await alice.sync()
  const slide = (pos?: string): Promise<Answer> =>
    alice.request('post', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
      body: {
        lists: { all: { ranges: [[0, 9]], timeline_limit: 10, required_state: [['m.room.topic', '']] } },
      },
      query: { timeout: 0, ...(pos !== undefined && { pos }) },
    })
  const { pos } = await slide()

  // Built on what was there before the second topic, by who may do more: who set that had no right to.
  const ban = room.build({
    type: 'm.room.member',
    stateKey: derek,
    content: { membership: 'ban' },
    prev: room.ends,
  })
  await send(ban)
  expect(await topic()).toBe('first')
  const isTold = async (): Promise<void> => {
    const told: Answer = (await alice.sync({ since })).rooms.join[room.roomId]
    expect(told.timeline.events.map((event: Answer) => event.event_id)).toEqual([ban.eventId])
    expect(told.state.events.map((event: Answer) => event.event_id)).toEqual([first.eventId])
    const slid = (await slide(pos)).rooms[room.roomId]
    expect(slid.timeline.map((event: Answer) => event.event_id)).toEqual([ban.eventId])
    expect(slid.required_state.map((event: Answer) => event.event_id)).toEqual([first.eventId])
  }
  await isTold()
  // And by a process that has not heard of it.
  home.ctx.feeds.forget(room.roomId)
  await isTold()
})
