import { expect, test } from 'vitest'
import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { EventGraph, EventOutline } from '../testing/event-graph.ts'
import { startTestServer } from '../testing/index.ts'
import { graphOf, sorted, storedCurrentState, storedEvent, storedState } from '../testing/stored-room.ts'
import { acceptEvent } from './accept-event.ts'
import { stateAt } from './state-at.ts'

const users: readonly UserId[] = ['@alice:a.test', '@bob:b.test', '@carol:c.test', '@dave:d.test']
const eventsPerRoom = 150

type Choose = (below: number) => number

/** The same choices for the same seed. */
function chooser(seed: number): Choose {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

function randomOutline(choose: Choose, isPrivileged: boolean): EventOutline {
  const sender = users[choose(users.length)]!
  const other = users[choose(users.length)]!
  const member = (stateKey: string, membership: string): EventOutline => {
    return { type: 'm.room.member', sender, stateKey, content: { membership } }
  }
  switch (choose(10)) {
    case 0:
      return { type: 'm.room.power_levels', sender, stateKey: '', content: randomLevels(choose, isPrivileged) }
    case 1: {
      const content = { join_rule: choose(3) === 0 ? 'invite' : 'public' }
      return { type: 'm.room.join_rules', sender, stateKey: '', content }
    }
    case 2:
    case 3:
      return {
        type: 'm.room.topic',
        sender,
        stateKey: choose(4) === 0 ? 'odd' : '',
        content: { topic: `${choose(99)}` },
      }
    case 4:
      return member(other, 'ban')
    case 5:
      return member(other, choose(2) === 0 ? 'leave' : 'invite')
    case 6:
    case 7:
      return member(sender, 'join')
    default:
      return { type: 'm.room.message', sender, content: { body: `${choose(99)}` } }
  }
}

function randomLevels(choose: Choose, isPrivileged: boolean): JsonObject {
  const levels: Record<string, number> = {}
  const named = isPrivileged ? users.slice(1) : users
  for (const user of named) if (choose(4) > 0) levels[user] = [50, 100, 100][choose(3)]!
  return { users: levels, users_default: [0, 50][choose(2)]!, state_default: [0, 50][choose(2)]! }
}

/** A few of the latest events, whatever became of them; mostly where the room is now. */
function randomPredecessors(choose: Choose, graph: EventGraph): readonly RoomEvent[] {
  if (choose(3) === 0) return graph.ends
  const events = [...graph.nodes.values()].map(({ event }) => event)
  const latest = events.slice(Math.max(6, events.length - 12))
  if (latest.length === 0) return graph.ends
  const picked = new Set<RoomEvent>()
  for (let count = 1 + choose(3); count > 0; count--) picked.add(latest[choose(latest.length)]!)
  return [...picked]
}

async function expectSame(ctx: Context, roomId: RoomId, graph: EventGraph, event: RoomEvent): Promise<void> {
  expect(sorted(await storedCurrentState(ctx, roomId))).toEqual(sorted(graph.currentState()))
  const node = graph.nodes.get(event.eventId)!
  const stored = await storedEvent(ctx, event.eventId)
  for (const side of ['before', 'after'] as const) {
    const state = await stateAt(ctx, stored, side)
    expect(state.known).toBe(true)
    if (state.known) expect(sorted(await storedState(ctx, roomId, state.value))).toEqual(sorted(node[side]))
  }
}

test.each(['2', '6', '10', '12'].flatMap((version) => [1, 2].map((seed) => ({ version, seed }))))(
  'room version $version, seed $seed: a random graph has the states of the plain algorithm',
  async ({ version, seed }) => {
    await using server = await startTestServer()
    const { ctx } = server
    const alice = await server.register('alice')
    const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: version })) as RoomId
    const graph = await graphOf(ctx, roomId)
    const choose = chooser(seed * 1000 + Number(version))
    const outcomes = { accepted: 0, softFailed: 0, rejected: 0 }
    for (let count = 0; count < eventsPerRoom; count++) {
      const after = randomPredecessors(choose, graph)
      const event = graph.build({ ...randomOutline(choose, graph.rules.auth.privilegedCreators), after })
      const { outcome } = await acceptEvent(ctx, event)
      const expected = graph.add(event)
      expect(outcome, `event ${count}`).toBe(expected)
      outcomes[expected]++
      await expectSame(ctx, roomId, graph, event)
      const room = (await ctx.hotRooms.get(roomId))!
      const ids = (events: readonly RoomEvent[]): string[] => events.map(({ eventId }) => eventId).sort()
      expect(ids(room.extremities.map((ref) => ref.event))).toEqual(ids(graph.ends))
      for (const { ref } of room.known()) {
        expect(graph.current(ref.event.pdu.type, ref.event.pdu.state_key)?.eventId).toBe(ref.event.eventId)
      }
      // What is in memory must not be what makes it right.
      if (choose(10) === 0) ctx.hotRooms.drop(room)
    }
    expect(outcomes.accepted).toBeGreaterThan(20)
    expect(outcomes.rejected).toBeGreaterThan(5)
  },
)
