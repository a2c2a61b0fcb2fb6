import { expect, test } from 'vitest'
import type { Context } from '../context.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { supportedRoomVersions } from '../matrix/room-versions.ts'
import type { EventGraph } from '../testing/event-graph.ts'
import { startTestServer } from '../testing/index.ts'
import { graphOf, sorted, storedCurrentState, storedEvent, storedState } from '../testing/stored-room.ts'
import { acceptEvent, acceptEvents } from './accept-event.ts'
import { openRemoteRoom } from './remote-room.ts'
import { stateAt } from './state-at.ts'
import { storeOutliers } from './store-outliers.ts'

const bob: UserId = '@bob:b.test'
const carol: UserId = '@carol:c.test'

/** A public room of ours that users of two other servers have joined. */
async function sharedRoom(ctx: Context, alice: { createRoom(body?: object): Promise<string> }, version = '10') {
  const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: version })) as RoomId
  const graph = await graphOf(ctx, roomId)
  for (const user of [bob, carol]) await arrive(ctx, graph, member(user, 'join'))
  return { roomId, graph }
}

function member(user: UserId, membership: string, sender = user) {
  return { type: 'm.room.member', sender, stateKey: user as string, content: { membership } }
}

function message(sender: UserId, body: string) {
  return { type: 'm.room.message', sender, content: { msgtype: 'm.text', body } }
}

function state(sender: UserId, type: string, content: JsonObject) {
  return { type, sender, stateKey: '', content }
}

/** An event comes in, and becomes what the graph says it should. */
async function arrive(ctx: Context, graph: EventGraph, outline: Parameters<EventGraph['build']>[0]) {
  const event = graph.build(outline)
  const acceptance = await acceptEvent(ctx, event)
  expect(acceptance.outcome, JSON.stringify(acceptance)).toBe(graph.add(event))
  return event
}

async function expectSameState(ctx: Context, roomId: RoomId, graph: EventGraph) {
  expect(sorted(await storedCurrentState(ctx, roomId))).toEqual(sorted(graph.currentState()))
  const room = (await ctx.hotRooms.get(roomId))!
  for (const { ref } of room.known()) {
    expect(graph.current(ref.event.pdu.type, ref.event.pdu.state_key)?.eventId).toBe(ref.event.eventId)
  }
  expect(room.extremities.map(({ event }) => event.eventId).sort()).toEqual(
    graph.ends.map(({ eventId }) => eventId).sort(),
  )
}

test.each(supportedRoomVersions)('room version %s: events of another server one after the other', async (version) => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(server.ctx, alice, version)
  const said = await arrive(server.ctx, graph, message(bob, 'hello'))
  await expectSameState(server.ctx, roomId, graph)
  const sync = await alice.sync()
  const timeline = sync.rooms.join[roomId].timeline.events as { event_id: EventId }[]
  expect(timeline.at(-1)!.event_id).toBe(said.eventId)
  expect(await acceptEvent(server.ctx, said)).toEqual({ outcome: 'known' })
})

test('forks are merged: power levels, a ban and a topic', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  const users = { [alice.userId]: 100, [bob]: 100, [carol]: 50 }
  await arrive(ctx, graph, state(alice.userId, 'm.room.power_levels', { users, events: { 'm.room.topic': 50 } }))
  const fork = graph.ends
  const topic = await arrive(ctx, graph, { ...state(carol, 'm.room.topic', { topic: 'of carol' }), after: fork })
  await arrive(ctx, graph, { ...member(carol, 'ban', bob), after: fork })
  await expectSameState(ctx, roomId, graph)
  expect(graph.ends).toHaveLength(2)
  await arrive(ctx, graph, { ...message(bob, 'from before'), after: base })
  await arrive(ctx, graph, { ...state(bob, 'm.room.topic', { topic: 'of bob' }), after: fork })
  await expectSameState(ctx, roomId, graph)
  await arrive(ctx, graph, message(bob, 'merged'))
  expect(graph.ends).toHaveLength(1)
  await expectSameState(ctx, roomId, graph)
  const members = await alice.get(`/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/joined_members`)
  expect(Object.keys(members.joined).sort()).toEqual([alice.userId, bob].sort())
  expect(topic.eventId).toMatch(/^\$/)
  const row = await ctx.database.db.selectFrom('rooms').select('joined_members').where('room_id', '=', roomId).execute()
  expect(row[0]!.joined_members).toBe(2)
})

test('a local event merges what came from elsewhere', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  await arrive(ctx, graph, { ...message(bob, 'one'), after: base })
  await arrive(ctx, graph, { ...message(carol, 'two'), after: base })
  const { event_id: eventId } = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'three' })
  const stored = await storedEvent(ctx, eventId)
  expect([...stored.event.prevEvents].sort()).toEqual(graph.ends.map((event) => event.eventId).sort())
})

test('more extremities than an event can name: what is sent follows some of them', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  for (let count = 0; count < 25; count++) await arrive(ctx, graph, { ...message(bob, `${count}`), after: base })
  await arrive(ctx, graph, { ...member(carol, 'leave'), after: base })
  expect(graph.ends).toHaveLength(26)
  const { event_id: first } = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'first' })
  const sent = await storedEvent(ctx, first)
  expect(sent.event.prevEvents).toHaveLength(20)
  expect(graph.add(sent.event)).toBe('accepted')
  await expectSameState(ctx, roomId, graph)
  const before = await stateAt(ctx, sent, 'before')
  expect(before.known && sorted(await storedState(ctx, roomId, before.value))).toEqual(
    sorted(graph.nodes.get(first)!.before),
  )
  const { event_id: second } = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'second' })
  expect(graph.add((await storedEvent(ctx, second)).event)).toBe('accepted')
  expect(graph.ends).toHaveLength(1)
  await expectSameState(ctx, roomId, graph)
})

test('an event that its auth events or the state before it refuse is stored, rejected and changes nothing', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const before = graph.ends
  const levels = await arrive(ctx, graph, state(bob, 'm.room.power_levels', { users: { [bob]: 100 } }))
  expect((await storedEvent(ctx, levels.eventId)).timeline).toBe(null)
  expect(graph.ends).toEqual(before)
  const after = await arrive(ctx, graph, { ...message(bob, 'after it'), after: [levels] })
  expect(graph.ends).toEqual([after])
  const cited = graph.build({ ...message(bob, 'on its authority'), auth: [...graph.ends, levels] })
  expect(await acceptEvent(ctx, cited)).toMatchObject({ outcome: 'rejected' })
  await expectSameState(ctx, roomId, graph)
  const seen = (await alice.sync()).rooms.join[roomId].timeline.events as { event_id: EventId }[]
  expect(seen.map((event) => event.event_id)).not.toContain(levels.eventId)
})

test('a banned user writes on from before the ban: nobody sees it, and others may follow it', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const before = graph.ends
  await arrive(ctx, graph, member(bob, 'ban', alice.userId))
  const late = await arrive(ctx, graph, { ...message(bob, 'spam'), after: before })
  expect(graph.nodes.get(late.eventId)!.outcome).toBe('softFailed')
  const name = await arrive(ctx, graph, { ...member(bob, 'join'), after: [late] })
  expect(graph.nodes.get(name.eventId)!.outcome).toBe('softFailed')
  const seen = JSON.stringify(await alice.sync())
  expect(seen).not.toContain('spam')
  await arrive(ctx, graph, { ...message(carol, 'I saw it'), after: [late, ...graph.ends] })
  expect(graph.ends).toHaveLength(1)
  await expectSameState(ctx, roomId, graph)
})

test('a membership that a resolution brings back, or takes away, is that of the lists', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const dave: UserId = '@dave:d.test'
  await arrive(ctx, graph, state(alice.userId, 'm.room.power_levels', { users: { [alice.userId]: 100, [bob]: 50 } }))
  const base = graph.ends
  await arrive(ctx, graph, { ...member(dave, 'join'), after: base })
  await arrive(ctx, graph, { ...state(alice.userId, 'm.room.join_rules', { join_rule: 'invite' }), after: base })
  await expectSameState(ctx, roomId, graph)
  await arrive(ctx, graph, { ...member(dave, 'ban', bob), after: base })
  await arrive(ctx, graph, message(alice.userId, 'merge'))
  await expectSameState(ctx, roomId, graph)
  const room = (await ctx.hotRooms.get(roomId))!
  const rows = await ctx.database.db
    .selectFrom('room_users')
    .innerJoin('users', 'users.user_nid', 'room_users.user_nid')
    .select(['user_id', 'membership'])
    .where('room', '=', room.room)
    .execute()
  const daves = graph.current('m.room.member', dave)
  const code = { join: 1, leave: 0, ban: 4 }[String(daves?.pdu.content.membership ?? 'leave')]
  expect(rows.find((row) => row.user_id === dave)!.membership).toBe(code)
  expect(room.joinedMembers).toBe(rows.filter((row) => row.membership === 1).length)
})

test('a key that a resolution takes away is absent, and can come again', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const users = { [alice.userId]: 100, [bob]: 50 }
  await arrive(ctx, graph, state(alice.userId, 'm.room.power_levels', { users }))
  const base = graph.ends
  const topic = await arrive(ctx, graph, { ...state(bob, 'm.room.topic', { topic: 'of bob' }), after: base })
  await arrive(ctx, graph, { ...member(bob, 'ban', alice.userId), after: base })
  expect(graph.current('m.room.topic')).toBeUndefined()
  await expectSameState(ctx, roomId, graph)
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.topic/`
  expect((await alice.attempt('get', path)).status).toBe(404)
  ctx.hotRooms.drop((await ctx.hotRooms.get(roomId))!)
  await alice.put(path, { topic: 'of alice' })
  expect(await alice.get(path)).toEqual({ topic: 'of alice' })
  const rows = await ctx.database.db
    .selectFrom('room_state')
    .innerJoin('event_kinds', 'event_kinds.kind', 'room_state.kind')
    .select(['from_position', 'to_position', 'event_nid'])
    .where('type', '=', 'm.room.topic')
    .orderBy('from_position')
    .execute()
  expect(rows.map((row) => row.event_nid === null)).toEqual([false, true, false])
  expect(rows[0]!.to_position).toBe(rows[1]!.from_position)
  expect(rows[2]!.to_position).toBe(null)
  const after = await stateAt(ctx, await storedEvent(ctx, topic.eventId), 'after')
  expect(after.known && sorted(await storedState(ctx, roomId, after.value))).toEqual(
    sorted(graph.nodes.get(topic.eventId)!.after),
  )
})

test('equal states on forks share a delta', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  await arrive(ctx, graph, state(alice.userId, 'm.room.topic', { topic: 'on' }))
  let fork = base
  const deltas = new Set<number | null>()
  for (let count = 0; count < 5; count++) {
    fork = [await arrive(ctx, graph, { ...message(bob, `${count}`), after: fork })]
    deltas.add((await storedEvent(ctx, fork[0]!.eventId)).stateDelta)
  }
  expect(deltas.size).toBe(1)
  expect(deltas.has(null)).toBe(false)
  expect(await ctx.database.db.selectFrom('state_deltas').selectAll().execute()).toHaveLength(1)
})

test('predecessors and auth events that nobody knows are asked for', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const gap = graph.append(message(bob, 'lost'))
  const next = graph.append(message(bob, 'next'))
  expect(await acceptEvent(ctx, next)).toEqual({ outcome: 'missing', prevEvents: [gap.eventId], authEvents: [] })
  expect(await storedEvent(ctx, next.eventId)).toBeUndefined()
  expect((await acceptEvents(ctx, roomId, [gap, next])).map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted'])
  const topic = graph.append(state(alice.userId, 'm.room.power_levels', { users: { [alice.userId]: 100 } }))
  const citing = graph.append(message(bob, 'citing'))
  expect(await acceptEvent(ctx, citing)).toMatchObject({ outcome: 'missing', authEvents: [topic.eventId] })
})

test('with the state before it told, an event needs no predecessors, and they can come later', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const gap = graph.append(message(bob, 'lost'))
  const next = graph.build(message(bob, 'next'))
  const stateBefore = [...graph.nodes.get(gap.eventId)!.after.values()]
  expect(await acceptEvent(ctx, next, { stateBefore })).toEqual({ outcome: 'accepted' })
  graph.add(next)
  const missing = await ctx.database.db.selectFrom('missing_events').selectAll().execute()
  expect(missing).toHaveLength(1)
  // The old extremity is one until the gap is closed.
  expect((await ctx.hotRooms.get(roomId))!.extremities).toHaveLength(2)
  expect(await acceptEvent(ctx, gap)).toEqual({ outcome: 'accepted' })
  expect(await ctx.database.db.selectFrom('missing_events').selectAll().execute()).toHaveLength(0)
  await expectSameState(ctx, roomId, graph)
})

test('what the database cannot hold, and a second create event, are refused alone', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  const odd = graph.build({ type: 'm.odd\0type', sender: bob, content: {}, after: base })
  const half = graph.build({ type: 'm.odd', sender: bob, stateKey: '\ud800', content: {}, after: base })
  const create = { type: 'm.room.create', sender: alice.userId, stateKey: '', content: { creator: alice.userId } }
  const second = graph.build({ ...create, after: [], auth: [] })
  const good = graph.append(message(bob, 'good \0 \ud800'))
  const outcomes = await acceptEvents(ctx, roomId, [odd, half, second, good])
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['rejected', 'rejected', 'rejected', 'accepted'])
  expect(await ctx.events.byIds([odd.eventId, half.eventId])).toEqual([])
  expect((await storedEvent(ctx, good.eventId)).event.pdu.content).toEqual(good.pdu.content)
  const room = (await ctx.hotRooms.get(roomId))!
  expect(room.extremities.map(({ event }) => event.eventId)).toEqual([good.eventId])
})

test('outliers get their place when they arrive', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const topic = graph.append(state(alice.userId, 'm.room.topic', { topic: 'promoted' }))
  expect((await storeOutliers(ctx, roomId, [topic])).size).toBe(0)
  const outlier = await storedEvent(ctx, topic.eventId)
  expect(outlier).toMatchObject({ timeline: null, flags: 9 })
  const next = graph.build(message(bob, 'after the outlier'))
  expect(await acceptEvent(ctx, next)).toMatchObject({ outcome: 'missing', prevEvents: [topic.eventId] })
  expect(await acceptEvent(ctx, topic)).toEqual({ outcome: 'accepted' })
  const placed = await storedEvent(ctx, topic.eventId)
  expect(placed).toMatchObject({ nid: outlier.nid, flags: 1 })
  expect(placed.timeline).toBeGreaterThan(outlier.nid)
  expect(placed.event.prevEvents).toEqual(topic.prevEvents)
  expect(await acceptEvent(ctx, next)).toEqual({ outcome: 'accepted' })
  graph.add(next)
  await expectSameState(ctx, roomId, graph)
  const seen = (await alice.sync()).rooms.join[roomId].timeline.events as { event_id: EventId }[]
  expect(seen.map((event) => event.event_id)).toContain(topic.eventId)
  expect((await storeOutliers(ctx, roomId, [topic, next])).size).toBe(0)
})

test('a redaction before and after what it redacts', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const base = graph.ends
  const redaction = (redacts: EventId, after: typeof base, sender = bob) => {
    return { type: 'm.room.redaction', sender, redacts, after }
  }
  const first = await arrive(ctx, graph, message(bob, 'secret one'))
  const byCarol = await arrive(ctx, graph, redaction(first.eventId, graph.ends, carol))
  expect((await storedEvent(ctx, first.eventId)).redactedBy).toBe(null)
  const byBob = await arrive(ctx, graph, redaction(first.eventId, [byCarol]))
  expect(await storedEvent(ctx, first.eventId)).toMatchObject({
    redactedBy: (await storedEvent(ctx, byBob.eventId)).nid,
    event: { pdu: { content: {} }, prevEvents: first.prevEvents },
  })
  const second = graph.build({ ...message(bob, 'secret two'), after: base })
  const early = await arrive(ctx, graph, redaction(second.eventId, [byBob]))
  await arrive(ctx, graph, redaction(second.eventId, [early], carol))
  expect(await acceptEvent(ctx, second)).toEqual({ outcome: 'accepted' })
  expect(await storedEvent(ctx, second.eventId)).toMatchObject({
    redactedBy: (await storedEvent(ctx, early.eventId)).nid,
    event: { pdu: { content: {}, hashes: second.pdu.hashes }, prevEvents: second.prevEvents },
  })
  expect(await ctx.database.db.selectFrom('pending_redactions').selectAll().execute()).toHaveLength(0)
  const history = await alice.get(`/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages`, { dir: 'b' })
  expect(history.chunk.length).toBeGreaterThan(4)
  expect(JSON.stringify(history)).not.toContain('secret')
})

test('the same event by several ways at once is stored once', async () => {
  await using server = await startTestServer()
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(server.ctx, alice)
  await other.ctx.hotRooms.get(roomId)
  for (let count = 0; count < 5; count++) {
    const base = graph.ends
    const one = graph.append({ ...message(bob, `one ${count}`), after: base })
    const two = graph.append({ ...state(alice.userId, 'm.room.topic', { topic: `${count}` }), after: base })
    const contexts = [server.ctx, other.ctx, server.ctx, other.ctx]
    const both = await Promise.all(contexts.map((ctx) => acceptEvents(ctx, roomId, [one, two])))
    const outcomes = both.map((list) => list.map(({ outcome }) => outcome))
    for (const index of [0, 1]) {
      const ofEvent = outcomes.map((list) => list[index])
      expect(ofEvent.sort()).toEqual(['accepted', 'known', 'known', 'known'])
    }
  }
  // The last of it may be the other process's.
  await server.ctx.stream.catchUp()
  await expectSameState(server.ctx, roomId, graph)
})

test('local and remote events at the same time', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  const sending = Array.from({ length: 20 }, (_, index) =>
    alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: `${index}` }),
  )
  const remote = Array.from({ length: 20 }, (_, index) => graph.append(message(bob, `${index}`)))
  const outcomes = await acceptEvents(ctx, roomId, remote)
  expect(outcomes.every(({ outcome }) => outcome === 'accepted')).toBe(true)
  await Promise.all(sending)
  const { event_id: last } = await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'last' })
  const room = (await ctx.hotRooms.get(roomId))!
  expect(room.extremities.map(({ event }) => event.eventId)).toEqual([last])
  const whole = await graphOf(ctx, roomId)
  expect(whole.ends.map(({ eventId }) => eventId)).toEqual([last])
  expect(whole.nodes.size).toBe(graph.nodes.size + 21)
})

test.each(['1', '10', '12'])(
  'room version %s: into a room of another server, with the state it tells',
  async (version) => {
    await using origin = await startTestServer({ serverNames: ['o.test'] })
    await using server = await startTestServer()
    const olga = await origin.register('olga')
    const { roomId, graph } = await sharedRoom(origin.ctx, olga, version)
    const alice = await server.register('alice')
    await openRemoteRoom(server.ctx, roomId, version)
    const stateBefore = [...graph.currentState().values()]
    const chain = [...graph.nodes.values()].filter(({ event }) => event.pdu.state_key !== undefined)
    const refused = await storeOutliers(server.ctx, roomId, chain.map(({ event }) => event).reverse())
    expect(refused.size).toBe(0)
    const join = graph.build(member(alice.userId, 'join'))
    expect(await acceptEvent(server.ctx, join, { stateBefore })).toEqual({ outcome: 'accepted' })
    graph.add(join)
    await expectSameState(server.ctx, roomId, graph)
    const before = await stateAt(server.ctx, await storedEvent(server.ctx, join.eventId), 'before')
    expect(before.known && before.value.entries.size).toBe(0)
    expect(before.known && sorted(await storedState(server.ctx, roomId, before.value))).toEqual(
      sorted(graph.nodes.get(join.eventId)!.before),
    )
    await arrive(server.ctx, graph, message(olga.userId, 'welcome'))
    const sync = await alice.sync()
    expect(sync.rooms.join[roomId].timeline.events.at(-1)).toMatchObject({ content: { body: 'welcome' } })
    expect(sync.rooms.join[roomId].summary['m.joined_member_count']).toBe(4)
    await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'thank you' })
  },
)

test('an event after the one in memory costs one statement for what it names', async () => {
  await using server = await startTestServer()
  const { ctx } = server
  const alice = await server.register('alice')
  const { roomId, graph } = await sharedRoom(ctx, alice)
  await arrive(ctx, graph, message(bob, 'warm'))
  const events = Array.from({ length: 10 }, (_, index) => graph.append(message(bob, `${index}`)))
  await ctx.writer.drain()
  const log: string[] = []
  ctx.database.cost.log = log
  await acceptEvents(ctx, roomId, events)
  ctx.database.cost.log = undefined
  const reads = log.filter((text) => text.trimStart().startsWith('select') && !text.includes('stream'))
  expect(reads).toHaveLength(2)
})
