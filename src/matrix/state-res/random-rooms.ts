import { authTypesFor, checkAuth } from '../auth-rules/index.ts'
import type { RoomEvent } from '../event.ts'
import type { EventId, RoomId, UserId } from '../ids.ts'
import type { JsonObject } from '../json.ts'
import type { RoomRules } from '../room-versions.ts'
import { AuthGraph } from './auth-graph.ts'
import type { Conflict } from './plan.ts'
import { resolveState } from './resolve-state.ts'
import { CREATE_KEY, type LoadedEvent, type StateKey, type StateMap, stateKeyOf } from './state-map.ts'

/** For tests: rooms made of numbers, with everything that can go wrong in them. */
export type RandomRoom = {
  readonly events: ReadonlyMap<EventId, LoadedEvent>
  readonly sets: readonly StateMap[]
}

const USERS: readonly UserId[] = ['@alice:a', '@bob:b', '@carol:c', '@dave:d']

type Draft = { readonly type: string; readonly sender: UserId; readonly stateKey: string; readonly content: JsonObject }

/**
 * Plays the numbers, one step each, on a few branches: events that are allowed or not, that cite what they should or
 * something else, that are marked rejected though they are in a state; forks and merges. Ends with a state for every
 * branch, some with keys left out.
 */
export function playRoom(rules: RoomRules, numbers: readonly number[]): RandomRoom {
  const events = new Map<EventId, LoadedEvent>()
  const lookup = (eventId: EventId) => events.get(eventId)
  const branches: Map<StateKey, EventId>[] = [new Map()]

  function play(state: Map<StateKey, EventId>, draft: Draft, choose: (below: number) => number): void {
    const { event, rejected } = draftEvent(rules, events, state, draft, choose)
    const authState = {
      get: (type: string, stateKey: string) => {
        const eventId = state.get(stateKeyOf(type, stateKey))
        return eventId === undefined ? undefined : events.get(eventId)?.event
      },
    }
    events.set(event.eventId, { event, rejected })
    if (checkAuth(event, authState, rules).allowed || choose(16) === 0) {
      state.set(stateKeyOf(draft.type, draft.stateKey), event.eventId)
    }
  }

  const [creator] = USERS as readonly [UserId]
  const dull = (below: number) => below - 1
  for (const draft of beginning(creator, rules)) play(branches[0]!, draft, dull)
  for (const number of numbers) {
    const choose = chooser(number)
    const branch = branches[choose(branches.length)]!
    const step = choose(12)
    if (step === 0 && branches.length < 4) branches.push(new Map(branch))
    else if (step === 1) mergeInto(rules, branch, branches[choose(branches.length)]!, lookup)
    else play(branch, randomDraft(choose), choose)
  }
  return { events, sets: branches.map((branch, index) => withGaps(branch, numbers[index] ?? 0)) }
}

/** A number spun into as many choices as a step needs. */
function chooser(number: number): (below: number) => number {
  let seed = number
  return (below) => {
    seed = (seed + 0x6d2b_79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

function beginning(creator: UserId, rules: RoomRules): readonly Draft[] {
  const join = (user: UserId): Draft => {
    return { type: 'm.room.member', sender: user, stateKey: user, content: { membership: 'join' } }
  }
  const users = { ...(rules.auth.privilegedCreators ? {} : { [creator]: 100 }), [USERS[1]!]: 100, [USERS[2]!]: 50 }
  return [
    { type: 'm.room.create', sender: creator, stateKey: '', content: { creator } },
    join(creator),
    { type: 'm.room.power_levels', sender: creator, stateKey: '', content: { users } },
    { type: 'm.room.join_rules', sender: creator, stateKey: '', content: { join_rule: 'public' } },
    ...USERS.slice(1, 3).map(join),
  ]
}

function randomDraft(choose: (below: number) => number): Draft {
  const sender = USERS[choose(USERS.length)]!
  const other = USERS[choose(USERS.length)]!
  const membership = (['join', 'join', 'leave', 'ban', 'invite', 'leave'] as const)[choose(6)]!
  switch (choose(8)) {
    case 0:
      return { type: 'm.room.power_levels', sender, stateKey: '', content: randomLevels(choose) }
    case 1:
      return {
        type: 'm.room.join_rules',
        sender,
        stateKey: '',
        content: { join_rule: choose(2) === 0 ? 'public' : 'invite' },
      }
    case 2:
      return {
        type: 'm.room.topic',
        sender,
        stateKey: choose(4) === 0 ? 'odd' : '',
        content: { topic: `${choose(9)}` },
      }
    case 3:
      return { type: 'm.room.member', sender, stateKey: other, content: { membership: 'ban' } }
    case 4:
      return { type: 'm.room.member', sender, stateKey: sender, content: { membership: 'join' } }
    case 5:
      return {
        type: 'm.room.power_levels',
        sender,
        stateKey: choose(2) === 0 ? '' : 'odd',
        content: randomLevels(choose),
      }
    default:
      return { type: 'm.room.member', sender, stateKey: other, content: { membership } }
  }
}

function randomLevels(choose: (below: number) => number): JsonObject {
  const users: Record<string, number> = {}
  for (const user of USERS.slice(choose(2))) if (choose(3) > 0) users[user] = [0, 50, 100, 100][choose(4)]!
  return { users, users_default: [0, 0, 50][choose(3)]!, state_default: [0, 50][choose(2)]! }
}

function draftEvent(
  rules: RoomRules,
  events: ReadonlyMap<EventId, LoadedEvent>,
  state: StateMap,
  draft: Draft,
  choose: (below: number) => number,
): LoadedEvent {
  const eventId: EventId = draft.type === 'm.room.create' ? '$create' : `$${(events.size * 7919) % 1009}-${events.size}`
  const cited = new Set<EventId>()
  for (const [type, stateKey] of authTypesFor(draft, rules)) {
    const selected = state.get(stateKeyOf(type, stateKey))
    // Some cite too little, and some what was before.
    if (selected !== undefined && choose(24) !== 0) cited.add(selected)
  }
  if (choose(12) === 0 && events.size > 1) cited.add([...events.keys()][1 + choose(events.size - 1)]!)
  const roomId: RoomId = rules.createEventIsRoomId ? '!create' : '!create:a'
  const previous = [...events.keys()].at(-1)
  const event: RoomEvent = {
    eventId,
    roomId,
    prevEvents: previous === undefined ? [] : [previous],
    authEvents: [...cited],
    pdu: {
      type: draft.type,
      sender: draft.sender,
      ...(rules.createEventIsRoomId && draft.type === 'm.room.create' ? {} : { room_id: roomId }),
      state_key: draft.stateKey,
      content: draft.content,
      origin_server_ts: choose(20),
      depth: 1 + (choose(3) === 0 ? choose(5) : events.size),
      prev_events: previous === undefined ? [] : [previous],
      auth_events: [...cited],
      hashes: { sha256: '' },
      signatures: {},
    },
  }
  return { event, rejected: choose(10) === 0 && events.size > 3 }
}

function mergeInto(
  rules: RoomRules,
  branch: Map<StateKey, EventId>,
  other: StateMap,
  lookup: (eventId: EventId) => LoadedEvent | undefined,
): void {
  for (const [key, eventId] of resolveState(rules, [branch, other], lookup)) branch.set(key, eventId)
}

/** A state of which something is not known. */
function withGaps(state: StateMap, number: number): StateMap {
  if (number % 3 !== 0) return state
  return new Map([...state].filter((_, index) => (number >> (index % 29)) % 5 !== 1))
}

/** The same question for the integer form. */
export function conflictOf(room: RandomRoom): { conflict: Conflict; ordinals: ReadonlyMap<EventId, number> } {
  const graph = new AuthGraph()
  const ordinals = new Map<EventId, number>()
  for (const [eventId, { event }] of room.events) {
    const isPowerLevels = event.pdu.type === 'm.room.power_levels' && event.pdu.state_key === ''
    ordinals.set(
      eventId,
      graph.add(
        event.authEvents.map((cited) => ordinals.get(cited)!),
        isPowerLevels,
      ),
    )
  }
  const agreed = new Map<StateKey, number>()
  const differing = new Set<StateKey>()
  for (const set of room.sets) {
    for (const [key, eventId] of set) {
      // A caller may also call a key divergent that is not.
      const isAgreed = room.sets.every((other) => other.get(key) === eventId) && ordinals.get(eventId)! % 5 !== 4
      if (isAgreed) agreed.set(key, ordinals.get(eventId)!)
      else differing.add(key)
    }
  }
  const divergent = room.sets.map((set) => {
    const known = (key: StateKey) => {
      const eventId = set.get(key)
      return eventId === undefined ? undefined : ordinals.get(eventId)
    }
    return new Map([...differing].map((key) => [key, known(key)]))
  })
  const values = new Set(agreed.values())
  const conflict: Conflict = {
    graph,
    divergent,
    agreed: {
      get: (key) => agreed.get(key),
      ordinals: () => values,
      ...(room.events.size % 2 === 0 ? { has: (ordinal: number) => values.has(ordinal) } : {}),
    },
    create: agreed.get(CREATE_KEY) ?? 0,
  }
  return { conflict, ordinals }
}
