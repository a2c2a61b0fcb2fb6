import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { StoredEvent } from '../storage/events.ts'
import { EventFlags } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'
import { type HistoryVisibility, type Interval, maySee, type ViewerHistory, valueAt } from './history-visibility.ts'
import { type RoomState, type StateLookup, statesBefore } from './state-at.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events'>

/** What decides about one event beside what the user was later. */
type Sides = { readonly visibility: HistoryVisibility | undefined; readonly membership: Membership | undefined }

/**
 * The events of one room that a user may see, by the state at each: for most that is the resolved state at their position,
 * which `viewer` holds; for those on a fork, or back-filled, it is looked up. No statement without such events, else two.
 *
 * Where the state before a back-filled event is not known, the oldest visibility that is known counts: it is no wider than
 * what a server told us then.
 *
 * Spec: Client-Server API, "Room history visibility", "Server behaviour".
 */
export async function visibleEvents(
  ctx: Engine,
  viewer: ViewerHistory,
  userId: UserId,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  const placed = events.filter((event) => event.timeline !== null)
  const apart = placed.filter((event) => event.stateDelta !== null || (event.flags & EventFlags.backfilled) !== 0)
  const views = apart.length === 0 ? undefined : await viewsOf(ctx, viewer, userId, apart)
  return placed.filter((event) => maySee(views?.get(event.nid) ?? viewer, event.timeline!))
}

/** For each event the user's history with the state at that event in its place. */
async function viewsOf(
  ctx: Engine,
  viewer: ViewerHistory,
  userId: UserId,
  events: readonly StoredEvent[],
): Promise<Map<number, ViewerHistory>> {
  const kinds = await ctx.dictionaries.findKinds([
    { type: 'm.room.history_visibility', stateKey: '' },
    { type: 'm.room.member', stateKey: userId },
  ])
  const visibilityKind = kinds.get('m.room.history_visibility\0')
  const memberKind = kinds.get(`m.room.member\0${userId}`)
  const states = await statesBefore(ctx, events)
  const wanted = new Set<number>()
  for (const state of states.values()) {
    for (const kind of [visibilityKind, memberKind]) {
      const nid = state.known && kind !== undefined ? state.value.entries.get(kind) : undefined
      if (nid) wanted.add(nid)
    }
  }
  const stored = new Map((await ctx.events.byNids([...wanted])).map((event) => [event.nid, event]))
  const held = (state: RoomState, kind: number | undefined): StoredEvent | null | undefined => {
    const nid = kind === undefined ? undefined : state.entries.get(kind)
    return nid === undefined ? undefined : (stored.get(nid) ?? null)
  }
  const before = (lookup: StateLookup<RoomState>): Sides => {
    if (!lookup.known) return { visibility: viewer.visibilities[0]?.value, membership: undefined }
    const { value: state } = lookup
    const visibility = held(state, visibilityKind)
    const membership = held(state, memberKind)
    return {
      visibility: visibility === undefined ? valueAt(viewer.visibilities, state.base) : visibilityOf(visibility),
      membership: membership === undefined ? valueAt(viewer.memberships, state.base) : membershipOf(membership),
    }
  }
  return new Map(
    events.map((event) => [event.nid, viewAt(viewer, event, before(states.get(event.nid)!), userId)] as const),
  )
}

function viewAt(viewer: ViewerHistory, event: StoredEvent, before: Sides, userId: UserId): ViewerHistory {
  const at = event.timeline!
  const { type, state_key: stateKey } = event.event.pdu
  const isState = (event.flags & EventFlags.state) !== 0
  const setsVisibility = isState && type === 'm.room.history_visibility' && stateKey === ''
  const setsMembership = isState && type === 'm.room.member' && stateKey === userId
  const visibility = setsVisibility ? visibilityOf(event) : before.visibility
  const membership = setsMembership ? membershipOf(event) : before.membership
  return {
    visibilities: aroundOf(at, before.visibility ?? 'shared', visibility ?? 'shared'),
    memberships: [...aroundOf(at, before.membership ?? 'leave', membership ?? 'leave'), ...viewer.memberships],
  }
}

function aroundOf<Value>(position: number, before: Value, after: Value): Interval<Value>[] {
  return [
    { from: position - 1, to: position, value: before },
    { from: position, to: position + 1, value: after },
  ]
}

const visibilities: ReadonlySet<unknown> = new Set(['world_readable', 'shared', 'invited', 'joined'])
const memberships: ReadonlySet<unknown> = new Set(['join', 'invite', 'knock', 'leave', 'ban'])

function visibilityOf(event: StoredEvent | null): HistoryVisibility | undefined {
  const value = event?.event.pdu.content.history_visibility
  return visibilities.has(value) ? (value as HistoryVisibility) : undefined
}

function membershipOf(event: StoredEvent | null): Membership | undefined {
  const value = event?.event.pdu.content.membership
  return memberships.has(value) ? (value as Membership) : undefined
}
