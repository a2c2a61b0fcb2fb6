import { expect, test } from 'vitest'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { type Answer, startTestServer } from '../testing/index.ts'
import { arrive, graphOf } from '../testing/stored-room.ts'

const bob: UserId = '@bob:b.test'
const path = encodeURIComponent

test('on a fork the state around events, and who sent them, are those of the fork', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
  const graph = await graphOf(ctx, roomId)
  const member = (displayname: string) => ({
    type: 'm.room.member',
    sender: bob,
    stateKey: bob,
    content: { membership: 'join', displayname },
  })
  const say = (body: string) => ({ type: 'm.room.message', sender: bob, content: { msgtype: 'm.text', body } })
  const joined = await arrive(ctx, graph, member('Bob'))
  const topic = { type: 'm.room.topic', sender: alice.userId, stateKey: '', content: { topic: 'elsewhere' } }
  await arrive(ctx, graph, topic)
  const renamed = await arrive(ctx, graph, member('Robert'))
  const main = await arrive(ctx, graph, { ...say('on the main line'), after: [renamed] })
  const onFork = await arrive(ctx, graph, { ...say('on a fork'), after: [joined] })
  const around = (eventId: string, query: object): Promise<Answer> =>
    alice.get(`/rooms/${path(roomId)}/context/${path(eventId)}`, { limit: 0, ...query })
  const names = (events: Answer[]) =>
    events.filter(({ state_key: key }) => key === bob).map(({ content }) => content.displayname)
  const lazy = JSON.stringify({ lazy_load_members: true })
  for (const [eventId, name, topics] of [
    [onFork.eventId, 'Bob', 0],
    [main.eventId, 'Robert', 1],
  ] as const) {
    for (const query of [{}, { filter: lazy }]) {
      const { state } = await around(eventId, query)
      expect([names(state), state.filter(({ type }: Answer) => type === 'm.room.topic').length]).toEqual([
        [name],
        topics,
      ])
      const members = state.filter(({ type }: Answer) => type === 'm.room.member').length
      expect(members).toBe('filter' in query ? 1 : 2)
    }
  }
  const page = (limit: number) => alice.get(`/rooms/${path(roomId)}/messages`, { dir: 'b', limit, filter: lazy })
  expect((await page(1)).chunk).toMatchObject([{ event_id: onFork.eventId }])
  expect(names((await page(1)).state)).toEqual(['Bob'])
})

test('around what a former member sees nothing tells of later', async () => {
  await using server = await startTestServer()
  const [alice, carol] = [await server.register('alice'), await server.register('carol')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await carol.join(room)
  const { event_id: last } = await alice.send(room, 'm.room.message', { body: 'last' })
  await carol.leave(room)
  await alice.sendState(room, 'm.room.topic', { topic: 'later' })
  const { state, events_after: after } = await carol.get(`/rooms/${path(room)}/context/${path(last)}`, { limit: 20 })
  expect(after).toMatchObject([{ type: 'm.room.member', content: { membership: 'leave' } }])
  expect(JSON.stringify(state)).not.toContain('later')
  const own = state.filter(({ state_key: key }: Answer) => key === carol.userId)
  expect(own).toMatchObject([{ content: { membership: 'leave' } }])
})
