import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'

export type HistoryVisibility = 'world_readable' | 'shared' | 'invited' | 'joined'

/** What a value was from one position (included) to another (excluded; null: still). */
export type Interval<Value> = { readonly from: number; readonly to: number | null; readonly value: Value }

/** Everything that decides which events of a room a user may see. */
export type ViewerHistory = {
  readonly visibilities: readonly Interval<HistoryVisibility>[]
  readonly memberships: readonly Interval<Membership>[]
}

/**
 * Whether a user may see the event at a position of a room's timeline.
 *
 * Spec: Client-Server API, "Room history visibility", "Server behaviour". Around a change of the user's own membership or
 * of the visibility the more permissive side counts.
 */
export function maySee(viewer: ViewerHistory, position: number): boolean {
  return (
    allows(viewer, position, valueAt(viewer.visibilities, position), valueAt(viewer.memberships, position)) ||
    allows(viewer, position, valueAt(viewer.visibilities, position - 1), valueAt(viewer.memberships, position - 1))
  )
}

function allows(
  viewer: ViewerHistory,
  position: number,
  visibility: HistoryVisibility = 'shared',
  membership: Membership = 'leave',
): boolean {
  if (visibility === 'world_readable' || membership === 'join') return true
  if (visibility === 'shared') return joinedAfter(viewer.memberships, position)
  return visibility === 'invited' && membership === 'invite'
}

/** Whether the user was joined at any time from the position on. */
function joinedAfter(memberships: readonly Interval<Membership>[], position: number): boolean {
  return memberships.some(({ value, to }) => value === 'join' && (to === null || to > position))
}

/** The spans of positions whose events a user may see, both ends included; oldest first. */
export function visibleSpans(viewer: ViewerHistory): { first: number; last: number }[] {
  const bounds = new Set<number>([oldest])
  for (const { from, to } of [...viewer.visibilities, ...viewer.memberships]) {
    for (const at of [from, to]) if (at !== null) bounds.add(at).add(at + 1)
  }
  const starts = [...bounds].sort((one, other) => one - other)
  const spans: { first: number; last: number }[] = []
  for (const [index, first] of starts.entries()) {
    if (!maySee(viewer, first)) continue
    const last = (starts[index + 1] ?? Number.MAX_SAFE_INTEGER) - 1
    const before = spans.at(-1)
    if (before && before.last === first - 1) before.last = last
    else spans.push({ first, last })
  }
  return spans
}

const oldest = -Number.MAX_SAFE_INTEGER

export function valueAt<Value>(intervals: readonly Interval<Value>[], position: number): Value | undefined {
  return intervals.find(({ from, to }) => from <= position && (to === null || to > position))?.value
}

const visibilities: ReadonlySet<unknown> = new Set(['world_readable', 'shared', 'invited', 'joined'])
const memberships: ReadonlySet<unknown> = new Set(['join', 'invite', 'knock', 'leave', 'ban'])

/** Loads what decides about a user's view of rooms. One statement when the dictionaries are warm. */
export async function loadViewerHistories(
  ctx: Pick<Context, 'events' | 'dictionaries'>,
  rooms: readonly number[],
  userId: UserId,
): Promise<Map<number, ViewerHistory>> {
  const keys = [
    { type: 'm.room.history_visibility', stateKey: '' },
    { type: 'm.room.member', stateKey: userId },
  ]
  const kinds = await ctx.dictionaries.findKinds(keys)
  const views = viewersOf(await ctx.events.history(rooms, [...kinds.values()]))
  for (const room of rooms) if (!views.has(room)) views.set(room, { visibilities: [], memberships: [] })
  return views
}

/** What decides about views of rooms, from the entries of the state that were in force there over time. */
export function viewersOf(
  history: readonly { readonly stored: StoredEvent; readonly from: number; readonly to: number | null }[],
): Map<number, ViewerHistory> {
  const views = new Map<number, { visibilities: Interval<HistoryVisibility>[]; memberships: Interval<Membership>[] }>()
  for (const { stored, from, to } of [...history].sort((one, other) => one.from - other.from)) {
    let view = views.get(stored.room)
    if (!view) views.set(stored.room, (view = { visibilities: [], memberships: [] }))
    const { content, type } = stored.event.pdu
    if (type === 'm.room.member') {
      if (memberships.has(content.membership))
        view.memberships.push({ from, to, value: content.membership as Membership })
    } else if (visibilities.has(content.history_visibility)) {
      view.visibilities.push({ from, to, value: content.history_visibility as HistoryVisibility })
    }
  }
  return views
}

export async function loadViewerHistory(
  ctx: Pick<Context, 'events' | 'dictionaries'>,
  room: number,
  userId: UserId,
): Promise<ViewerHistory> {
  return (await loadViewerHistories(ctx, [room], userId)).get(room)!
}
