import { expect, test } from 'vitest'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { startTestServer } from '../testing/index.ts'
import { arrive, graphOf, storedEvent } from '../testing/stored-room.ts'
import { acceptEvent } from './accept-event.ts'
import { loadViewerHistory, maySee } from './history-visibility.ts'
import { storeHistory } from './store-history.ts'
import { visibleEvents } from './visible-events.ts'

const bob: UserId = '@bob:b.test'

function message(body: string) {
  return { type: 'm.room.message', sender: bob, content: { msgtype: 'm.text', body } }
}

function visibility(sender: UserId, value: string) {
  return { type: 'm.room.history_visibility', sender, stateKey: '', content: { history_visibility: value } }
}

test('an event on a fork is seen by the visibility that was in force there', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const dan = await server.register('dan')
  const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
  const graph = await graphOf(ctx, roomId)
  const joined = await arrive(ctx, graph, {
    type: 'm.room.member',
    sender: bob,
    stateKey: bob,
    content: { membership: 'join' },
  })
  await arrive(ctx, graph, visibility(alice.userId, 'joined'))
  const onFork = await arrive(ctx, graph, { ...message('while it was shared'), after: [joined] })
  const onMain = await arrive(ctx, graph, message('for members'))
  await dan.join(roomId)
  const room = (await ctx.hotRooms.get(roomId))!
  const viewer = await loadViewerHistory(ctx, room.room, dan.userId)
  const events = await Promise.all([onFork, onMain].map(({ eventId }) => storedEvent(ctx, eventId)))
  expect(events.map((event) => maySee(viewer, event.timeline!))).toEqual([false, false])
  expect(await visibleEvents(ctx, viewer, dan.userId, events)).toEqual([events[0]])
})

test('back-filled history is seen by the visibility before it, and by the oldest known where that is not known', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const dan = await server.register('dan')
  const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
  const graph = await graphOf(ctx, roomId)
  const join = graph.append({ type: 'm.room.member', sender: bob, stateKey: bob, content: { membership: 'join' } })
  const restricted = graph.append(visibility(alice.userId, 'joined'))
  expect(await acceptEvent(ctx, join)).toEqual({ outcome: 'accepted' })
  expect(await acceptEvent(ctx, restricted)).toEqual({ outcome: 'accepted' })
  const past = [graph.append(message('hidden')), graph.append(message('hidden too'))]
  const stateBefore = [...graph.currentState().values()]
  const next = graph.append(message('after the gap'))
  expect(await acceptEvent(ctx, next, { stateBefore })).toEqual({ outcome: 'accepted' })
  await storeHistory(ctx, roomId, [...past].reverse())
  await dan.join(roomId)
  const room = (await ctx.hotRooms.get(roomId))!
  const viewer = await loadViewerHistory(ctx, room.room, dan.userId)
  const events = await Promise.all(past.map(({ eventId }) => storedEvent(ctx, eventId)))
  expect(events.map(({ timeline }) => timeline)).toEqual([-2, -1])
  expect(events.map((event) => maySee(viewer, event.timeline!))).toEqual([true, true])
  expect(await visibleEvents(ctx, viewer, dan.userId, events)).toEqual([])
  const member = await loadViewerHistory(ctx, room.room, alice.userId)
  expect(await visibleEvents(ctx, member, alice.userId, events)).toEqual(events)
})
