import { expect, test } from 'vitest'
import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { EventFlags } from '../storage/events.ts'
import { EventGraph, type Outcome } from '../testing/event-graph.ts'
import { startTestServer, type TestClient } from '../testing/index.ts'
import { graphOf, sorted, storedCurrentState, storedEvent, storedState } from '../testing/stored-room.ts'
import { acceptEvents } from './accept-event.ts'
import { stateAt } from './state-at.ts'

const bob: UserId = '@bob:b.test'
const rounds = 8

function outcomeOf(flags: number): Outcome {
  if ((flags & EventFlags.rejected) !== 0) return 'rejected'
  return (flags & EventFlags.softFailed) !== 0 ? 'softFailed' : 'accepted'
}

/** Played again in the order of the commits, the plain algorithm comes to the same. */
async function expectConsistent(ctx: Context, roomId: RoomId): Promise<EventGraph> {
  const whole = await graphOf(ctx, roomId)
  const graph = new EventGraph(whole.rules, roomId)
  for (const { event } of whole.nodes.values()) {
    const stored = await storedEvent(ctx, event.eventId)
    const outcome = graph.add(event)
    expect(outcome).toBe(outcomeOf(stored.flags))
    const before = await stateAt(ctx, stored, 'before')
    expect(before.known && sorted(await storedState(ctx, roomId, before.value))).toEqual(
      sorted(graph.nodes.get(event.eventId)!.before),
    )
  }
  expect(sorted(await storedCurrentState(ctx, roomId))).toEqual(sorted(graph.currentState()))
  const row = await ctx.database.db
    .selectFrom('rooms')
    .select(['extremities', 'joined_members'])
    .where('room_id', '=', roomId)
    .executeTakeFirstOrThrow()
  const ends = await ctx.events.byNids(row.extremities)
  expect(ends.map(({ event }) => event.eventId).sort()).toEqual(graph.ends.map(({ eventId }) => eventId).sort())
  const joined = [...graph.currentState().values()].filter(
    (eventId) => graph.nodes.get(eventId)!.event.pdu.content.membership === 'join',
  )
  expect(row.joined_members).toBe(joined.length)
  return graph
}

async function sendSome(client: TestClient, roomId: RoomId, round: number): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`
  await Promise.all([
    client.send(roomId, 'm.room.message', { msgtype: 'm.text', body: `${round}` }, `first ${round}`),
    client.put(`${path}/state/m.room.topic/`, { topic: `${client.userId} ${round}` }),
    client.send(roomId, 'm.room.message', { msgtype: 'm.text', body: `${round} again` }, `second ${round}`),
  ])
}

test.each([{ processes: 1 }, { processes: 2 }])(
  '$processes process(es): local events and forks from elsewhere at once come to what the plain algorithm says',
  async ({ processes }) => {
    await using server = await startTestServer({ redis: processes > 1 })
    await using second = processes > 1 ? await startTestServer({ sharing: server }) : undefined
    const alice = await server.register('alice')
    const carol = await server.register('carol')
    const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
    await carol.join(roomId)
    const seed = await graphOf(server.ctx, roomId)
    const levels = { users: { [alice.userId]: 100, [carol.userId]: 50, [bob]: 50 } }
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`
    const join = seed.append({ type: 'm.room.member', sender: bob, stateKey: bob, content: { membership: 'join' } })
    await acceptEvents(server.ctx, roomId, [join])
    await alice.put(`${path}/state/m.room.power_levels/`, levels)
    const elsewhere = second ?? server
    for (let round = 0; round < rounds; round++) {
      const graph = await graphOf(server.ctx, roomId)
      const known = [...graph.nodes.values()].filter(({ outcome }) => outcome === 'accepted').slice(-6)
      const base = known.map(({ event }) => [event])
      const remote: RoomEvent[] = []
      for (const after of base) {
        const isLast = remote.length === base.length - 1
        const outline =
          round % 3 === 2 && isLast
            ? { type: 'm.room.member', sender: bob, stateKey: carol.userId, content: { membership: 'leave' } }
            : { type: 'm.room.topic', sender: bob, stateKey: '', content: { topic: `bob ${remote.length}` } }
        if (graph.nodes.get(after[0]!.eventId)!.after.size >= 7) remote.push(graph.append({ ...outline, after }))
      }
      await Promise.all([
        sendSome(alice, roomId, round),
        acceptEvents(server.ctx, roomId, remote),
        acceptEvents(elsewhere.ctx, roomId, remote.toReversed()),
        sendSome(elsewhere.adopt(alice), roomId, round + 100),
      ])
    }
    const graph = await expectConsistent(server.ctx, roomId)
    expect(graph.nodes.size).toBeGreaterThan(rounds * 9)
    const outcomes = [...graph.nodes.values()].filter(({ outcome }) => outcome === 'accepted')
    expect(outcomes.length).toBeGreaterThan(rounds * 6)
  },
)
