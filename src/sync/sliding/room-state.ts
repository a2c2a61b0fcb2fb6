import type { Context } from '../../context.ts'
import { type StoredEvent, storedState, type WantedState } from '../../storage/events.ts'
import type { StateChangeFact } from '../../storage/facts.ts'
import { removedState } from '../../storage/sliding-sync.ts'
import { eventsBetween } from '../feeds.ts'
import type { RoomTimeline } from '../room-timelines.ts'
import type { SlidingRoom } from './plan.ts'
import type { StateMatcher } from './required-state.ts'

export type StateKey = { readonly type: string; readonly state_key: string }

/** What is told of a room's state. */
export type RoomState = {
  readonly required: readonly StoredEvent[]
  /** Keys that are gone. */
  readonly removed: readonly StateKey[]
  /** The name and the avatar, as far as they are new; null: gone. */
  readonly changed: ReadonlyMap<string, StoredEvent | null>
  /** Members that were asked for by name. */
  readonly members: ReadonlyMap<string, StoredEvent>
}

/** A room, the part of its timeline that is told, and the members to be told with it. */
export type StateRequest = {
  readonly room: SlidingRoom
  readonly timeline: RoomTimeline
  /** The position whose state is told; undefined: the reader is told none. */
  readonly upTo: number | undefined
  /** Members that the timeline brings up. */
  readonly lazy: readonly string[]
  /** Members who stand for the room's name. */
  readonly heroes: readonly string[]
}

const named = ['m.room.name', 'm.room.avatar'] as const

type Engine = Pick<Context, 'events' | 'hotRooms' | 'database'>
type Found = { readonly current: Map<string, StoredEvent | null>; readonly changes: Map<string, StoredEvent | null> }

/**
 * The states of rooms as they are now, as far as the client wants them and does not know them. What memory does not hold is
 * one statement for all rooms, and one more for keys that are gone where the client was away.
 */
export async function loadRoomStates(ctx: Engine, requests: readonly StateRequest[]): Promise<Map<number, RoomState>> {
  const wanted = { keys: [], settings: [], members: [] } as { [Part in keyof WantedState]: WantedState[Part][number][] }
  const found = new Map<number, Found>()
  const away: StateRequest[] = []
  for (const request of requests) {
    const one: Found = { current: new Map(), changes: new Map() }
    found.set(roomOf(request), one)
    if (request.upTo === undefined) continue
    collect(ctx, request, one, wanted)
    if (isAway(request)) away.push(request)
  }
  const [events, removed] = await Promise.all([ctx.events.wantedState(wanted), removedIn(ctx, away)])
  const byRoom = Map.groupBy(events, (event) => event.room)
  const removedByRoom = Map.groupBy(removed, ({ room }) => room)
  const states = new Map<number, RoomState>()
  for (const request of requests) {
    const one = found.get(roomOf(request))!
    for (const event of byRoom.get(roomOf(request)) ?? []) one.current.set(keyOf(event), event)
    for (const { type, state_key } of removedByRoom.get(roomOf(request)) ?? [])
      one.changes.set(`${type}\0${state_key}`, null)
    states.set(roomOf(request), stateOf(request, one))
  }
  return states
}

function roomOf({ room }: StateRequest): number {
  return room.plan.userRoom.room
}

function keyOf({ event }: StoredEvent): string {
  return `${event.pdu.type}\0${event.pdu.state_key}`
}

/** Whether the changes are not in memory. */
function isAway({ room }: StateRequest): boolean {
  return room.after !== undefined && !isWarm(room)
}

function isWarm({ plan, after }: SlidingRoom): boolean {
  if (after === undefined || plan.section !== 'join') return false
  return plan.warm || (plan.feed !== undefined && after >= plan.feed.completeAfter)
}

/** Takes from memory what is there, and lists what has to be read. */
function collect(
  ctx: Engine,
  request: StateRequest,
  found: Found,
  wanted: { [Part in keyof WantedState]: WantedState[Part][number][] },
): void {
  const { room, timeline, lazy, heroes } = request
  const { matcher, before, after } = room
  const nid = roomOf(request)
  const upTo = request.upTo!
  const add = (type: string, stateKey: string, since: number): void => {
    const entry = ctx.hotRooms.peekByNid(nid)?.entry(type, stateKey)
    if (!entry || entry.since === 0 || entry.since > upTo)
      wanted.keys.push({ room: nid, type, stateKey, after: since, upTo })
    else if (entry.since > since) found.current.set(`${type}\0${stateKey}`, storedState(nid, entry.ref))
  }
  for (const userId of new Set([...lazy, ...heroes])) add('m.room.member', userId, -1)
  const demand = (one: StateMatcher, since: number): void => {
    for (const [type, stateKey] of one.keys) add(type, stateKey, since)
    for (const type of one.types ?? [null]) wanted.settings.push({ room: nid, type, after: since, upTo })
    if (one.allMembers) wanted.members.push({ room: nid, after: since, upTo })
  }
  // What is wanted and was not before, the client does not know whatever its age.
  if (after === undefined || before) demand(matcher, -1)
  if (after === undefined) for (const type of named) add(type, '', -1)
  else if (isWarm(room)) for (const [key, event] of warmChanges(room, upTo)) found.changes.set(key, event)
  else {
    if (!before) demand(matcher, after)
    for (const type of named) add(type, '', after)
    const tellsMembers = matcher.lazy && !matcher.allMembers && !timeline.limited
    if (tellsMembers) wanted.members.push({ room: nid, after, upTo })
  }
}

function warmChanges({ plan, after }: SlidingRoom, upTo: number): Map<string, StoredEvent | null> {
  const changes: { position: number; change: StateChangeFact }[] = []
  if (plan.feed) {
    for (const silent of plan.feed.silentChanges) {
      if (silent.position > after! && silent.position <= upTo) changes.push(silent)
    }
    for (const { position, changes: list } of eventsBetween(plan.feed, after!, upTo)) {
      for (const change of list) changes.push({ position, change })
    }
  }
  const latest = new Map<string, StoredEvent | null>()
  for (const { change } of changes.sort((one, other) => one.position - other.position)) {
    latest.set(`${change.type}\0${change.stateKey}`, change.to)
  }
  return latest
}

async function removedIn(ctx: Engine, away: readonly StateRequest[]) {
  if (away.length === 0) return []
  return ctx.database.read(removedState, [
    away.map(roomOf),
    away.map(({ room }) => room.after),
    away.map(({ upTo }) => upTo),
  ])
}

function stateOf({ room, timeline, lazy, heroes }: StateRequest, { current, changes }: Found): RoomState {
  const { matcher, before, after } = room
  const required = new Map<string, StoredEvent>()
  const removed: StateKey[] = []
  const changed = new Map<string, StoredEvent | null>()
  const members = new Map<string, StoredEvent>()
  const all = new Map([...current, ...changes])
  const isLazy = new Set(lazy)
  const isHero = new Set(heroes)
  for (const [key, event] of all) {
    const split = key.indexOf('\0')
    const [type, stateKey] = [key.slice(0, split), key.slice(split + 1)]
    const isNew = after === undefined || changes.has(key) || isAway({ room } as StateRequest)
    const isMember = type === 'm.room.member'
    if (isMember && event && isHero.has(stateKey)) members.set(stateKey, event)
    if (isNew && stateKey === '' && (type === named[0] || type === named[1])) changed.set(type, event)
    const isTold = matcher.matches(type, stateKey) && (isNew || before?.matches(type, stateKey) === false)
    const isBroughtUp =
      matcher.lazy &&
      isMember &&
      (isLazy.has(stateKey) || (after !== undefined && isNew && !timeline.limited && !isHero.has(stateKey)))
    if (!isTold && !isBroughtUp) continue
    if (event) required.set(key, event)
    else if (after !== undefined) removed.push({ type, state_key: stateKey })
  }
  return { required: [...required.values()], removed, changed, members }
}
