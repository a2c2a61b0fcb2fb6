import { expect, test } from 'vitest'
import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { EventGraph } from '../testing/event-graph.ts'
import { startTestServer } from '../testing/index.ts'
import { graphOf, sorted, storedEvent, storedState } from '../testing/stored-room.ts'
import { acceptEvent } from './accept-event.ts'
import { openRemoteRoom } from './remote-room.ts'
import { stateAt } from './state-at.ts'
import { storeHistory } from './store-history.ts'
import { storeOutliers } from './store-outliers.ts'

const bob: UserId = '@bob:b.test'

function message(body: string) {
  return { type: 'm.room.message', sender: bob, content: { msgtype: 'm.text', body } }
}

function topic(text: string) {
  return { type: 'm.room.topic', sender: bob, stateKey: '', content: { topic: text } }
}

/** A room with a past that alice comes into; the graph knows all of it. */
async function roomWithPast(
  server: { ctx: Context },
  olga: { ctx: Context; userId: UserId; createRoom(body: object): Promise<string> },
) {
  const roomId = (await olga.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
  const graph = await graphOf(olga.ctx, roomId)
  graph.append({ type: 'm.room.member', sender: bob, stateKey: bob, content: { membership: 'join' } })
  const levels = { users: { [olga.userId]: 100, [bob]: 50 } }
  graph.append({ type: 'm.room.power_levels', sender: olga.userId, stateKey: '', content: levels })
  const past: RoomEvent[] = []
  past.push(graph.append(message('one')), graph.append(message('two')), graph.append(topic('first')))
  past.push(graph.append(message('three')), graph.append(topic('second')))
  past.push(graph.append(message('four')), graph.append(message('five')))
  await openRemoteRoom(server.ctx, roomId, '11')
  const state = [...graph.currentState().values()]
  const nodes = [...graph.nodes.values()].filter(({ event }) => event.pdu.state_key !== undefined)
  const inState = nodes.filter(({ event }) => !past.includes(event) || state.includes(event.eventId))
  await storeOutliers(
    server.ctx,
    roomId,
    inState.map(({ event }) => event),
  )
  return { roomId, graph, past }
}

async function join(ctx: Context, graph: EventGraph, user: UserId) {
  const stateBefore = [...graph.currentState().values()]
  const event = graph.append({ type: 'm.room.member', sender: user, stateKey: user, content: { membership: 'join' } })
  expect(await acceptEvent(ctx, event, { stateBefore })).toEqual({ outcome: 'accepted' })
  return event
}

async function bodies(client: { get(path: string, query?: object): Promise<unknown> }, roomId: RoomId) {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages`
  const answer = (await client.get(path, { dir: 'b', limit: '50' })) as { chunk: { content: { body?: string } }[] }
  return answer.chunk.map(({ content }) => content.body).filter((body) => body !== undefined)
}

test('history comes before what is there, newest first, and nobody is told', async () => {
  await using origin = await startTestServer({ serverNames: ['o.test'] })
  await using server = await startTestServer()
  const { ctx } = server
  const olga = Object.assign(await origin.register('olga'), { ctx: origin.ctx })
  const alice = await server.register('alice')
  const { roomId, graph, past } = await roomWithPast(server, olga)
  await join(ctx, graph, alice.userId)
  const { next_batch: since } = await alice.sync()

  const newer = past.slice(3).reverse()
  const stored = await storeHistory(ctx, roomId, newer)
  expect(stored.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'accepted', 'accepted'])
  expect(await bodies(alice, roomId)).toEqual(['five', 'four', 'three'])
  const missing = await ctx.database.db.selectFrom('missing_events').select('event_id').execute()
  expect(missing).toHaveLength(1)

  await ctx.hotRooms.drop((await ctx.hotRooms.get(roomId))!)
  const older = past.slice(0, 3).reverse()
  await storeHistory(ctx, roomId, older)
  expect(await bodies(alice, roomId)).toEqual(['five', 'four', 'three', 'two', 'one'])
  const positions = await Promise.all([...newer, ...older].map(({ eventId }) => storedEvent(ctx, eventId)))
  expect(positions.map(({ timeline }) => timeline)).toEqual([-1, -2, -3, -4, -5, -6, -7])
  expect((await storeHistory(ctx, roomId, [...newer, ...older])).every(({ outcome }) => outcome === 'known')).toBe(true)

  const sync = await alice.sync({ since, timeout: '0' })
  expect(sync.rooms?.join?.[roomId]?.timeline?.events ?? []).toEqual([])
  const row = await ctx.database.db.selectFrom('rooms').select('notify_count').where('room_id', '=', roomId).execute()
  expect(row[0]!.notify_count).toBe(0)
})

test('the state before back-filled events, where it can be known', async () => {
  await using origin = await startTestServer({ serverNames: ['o.test'] })
  await using server = await startTestServer()
  const { ctx } = server
  const olga = Object.assign(await origin.register('olga'), { ctx: origin.ctx })
  const alice = await server.register('alice')
  const { roomId, graph, past } = await roomWithPast(server, olga)
  await join(ctx, graph, alice.userId)
  const stateOf = async (eventId: EventId) => {
    const state = await stateAt(ctx, await storedEvent(ctx, eventId), 'before')
    return state.known ? sorted(await storedState(ctx, roomId, state.value)) : undefined
  }
  const expected = (event: RoomEvent) => sorted(graph.nodes.get(event.eventId)!.before)
  // Backwards as far as nothing but messages lies between.
  await storeHistory(ctx, roomId, past.slice(3).reverse())
  expect(await stateOf(past[6]!.eventId)).toEqual(expected(past[6]!))
  expect(await stateOf(past[5]!.eventId)).toEqual(expected(past[5]!))
  expect(await stateOf(past[4]!.eventId)).toBeUndefined()
  expect(await stateOf(past[3]!.eventId)).toBeUndefined()
  // Forwards from where another server tells it.
  const oldest = past[0]!
  const statesBefore = new Map([[oldest.eventId, [...graph.nodes.get(oldest.eventId)!.before.values()]]])
  await storeHistory(ctx, roomId, past.slice(0, 3).reverse(), { statesBefore })
  for (const event of past.slice(0, 3)) expect(await stateOf(event.eventId)).toEqual(expected(event))
})

test('history that the state before it refuses is rejected, and redactions in it are applied', async () => {
  await using origin = await startTestServer({ serverNames: ['o.test'] })
  await using server = await startTestServer()
  const { ctx } = server
  const olga = Object.assign(await origin.register('olga'), { ctx: origin.ctx })
  const alice = await server.register('alice')
  const { roomId, graph, past } = await roomWithPast(server, olga)
  const secret = graph.append(message('secret'))
  const redaction = graph.append({ type: 'm.room.redaction', sender: bob, redacts: secret.eventId })
  const refused = graph.append({ type: 'm.room.power_levels', sender: bob, stateKey: '', content: { users: {} } })
  await join(ctx, graph, alice.userId)
  const events = [refused, redaction, secret]
  const outcomes = await storeHistory(ctx, roomId, events)
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['rejected', 'accepted', 'accepted'])
  expect(await storedEvent(ctx, secret.eventId)).toMatchObject({
    redactedBy: (await storedEvent(ctx, redaction.eventId)).nid,
    event: { pdu: { content: {} }, prevEvents: secret.prevEvents },
  })
  expect((await storedEvent(ctx, refused.eventId)).timeline).toBe(null)
  expect(past).toHaveLength(7)
})

test('what was missing in the middle of what was told has its place there when it comes', async () => {
  await using origin = await startTestServer({ serverNames: ['o.test'] })
  await using server = await startTestServer()
  const { ctx } = server
  const olga = Object.assign(await origin.register('olga'), { ctx: origin.ctx })
  const alice = await server.register('alice')
  const { roomId, graph, past } = await roomWithPast(server, olga)
  const after = [past.at(-1)!]
  const [left, right] = ['left', 'right'].map((body) => graph.append({ ...message(body), after })) as [
    RoomEvent,
    RoomEvent,
  ]
  const further = graph.append({ ...message('further left'), after: [left] })
  const merge = graph.append({ ...message('both'), after: [further, right] })
  await join(ctx, graph, alice.userId)
  await storeHistory(ctx, roomId, [merge, right, ...past.toReversed()])
  expect(await bodies(alice, roomId)).toEqual(['both', 'right', 'five', 'four', 'three', 'two', 'one'])
  const before = (await storedEvent(ctx, merge.eventId)).timeline!
  const outcomes = await storeHistory(ctx, roomId, [further, left], { before })
  expect(outcomes).toEqual([{ outcome: 'accepted' }, { outcome: 'accepted' }])
  const all = ['both', 'further left', 'left', 'right', 'five', 'four', 'three', 'two', 'one']
  expect(await bodies(alice, roomId)).toEqual(all)
})
