import type { Context } from '../../context.ts'
import { type RoomId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { MAX_TIMELINE_EVENTS } from '../../matrix/limits.ts'
import { beginning, type RoomPlan } from '../room-plan.ts'
import type { Session, UserRoom } from '../sessions.ts'
import { type ConnectionState, isSameRoom, isSameState, requiredText, type ToldRoom } from './connection.ts'
import { filterRooms } from './list-filters.ts'
import type { RoomRequest, SlidingRequest } from './request.ts'
import { type RequiredState, type StateMatcher, stateMatcher } from './required-state.ts'
import { type RoomList, roomListOf } from './room-list.ts'
import type { SlidingParts } from './sliding-sync.ts'
import { directRooms } from './user-traits.ts'

/** A room that an answer tells of. */
export type SlidingRoom = {
  /** What of its timeline, in the terms of `/v3/sync`. */
  readonly plan: RoomPlan
  /** The position up to which the client has everything else; undefined: it has nothing. */
  readonly after: number | undefined
  readonly timelineLimit: number
  readonly matcher: StateMatcher
  /** What was wanted before, where more is now. */
  readonly before: StateMatcher | undefined
  readonly isExpanded: boolean
  readonly isDirect: boolean
  /** Whether the client does not know that it is or is not. */
  readonly tellsDirect: boolean
  readonly lists: readonly string[]
}

/** A room that the client wants, whether or not there is news of it. */
export type WantedRoom = {
  readonly userRoom: UserRoom
  readonly config: RoomRequest
  readonly required: readonly RoomRequest['required'][]
  readonly lists: readonly string[]
  readonly isSubscribed: boolean
  /** Undefined: the client has nothing of it. */
  readonly after: number | undefined
}

export type SlidingPlan = {
  /** How many rooms pass the filters of each list. */
  readonly counts: ReadonlyMap<string, number>
  readonly wanted: ReadonlyMap<number, WantedRoom>
  readonly rooms: readonly SlidingRoom[]
  readonly next: ConnectionState
}

type Base = { readonly state: ConnectionState; readonly position: number | undefined; readonly upTo: number }

/**
 * Which rooms an answer tells about and what the client knows afterwards: decided in memory, whatever the number of rooms.
 */
export async function planSliding(
  ctx: Context,
  parts: SlidingParts,
  session: Session,
  request: SlidingRequest,
  base: Base,
): Promise<SlidingPlan> {
  const [list, direct] = [await roomListOf(ctx, parts.activity, session), await directRooms(ctx, session)]
  const shown = list.shownTo({ rooms: base.state.rooms, position: base.position })
  const counts = new Map<string, number>()
  const windows = new Map<string, readonly UserRoom[]>()
  for (const [name, { filters, ranges }] of request.lists) {
    const rooms = await filterRooms(ctx, parts.traits, session, list, shown, filters ?? {})
    counts.set(name, rooms.length)
    windows.set(name, ranges ? inRanges(rooms, ranges) : rooms)
  }
  const wanted = wantedRooms(ctx, request, windows, list, base)
  const rooms: SlidingRoom[] = []
  const told = new Map(base.state.rooms)
  let isChanged = false
  for (const [room, known] of base.state.rooms) {
    if (known.upTo !== undefined || wanted.has(room)) continue
    // The client came with this position, and is not told of the room from here on.
    told.set(room, { ...known, upTo: base.position! })
    isChanged = true
  }
  const matchers = new Map<string, StateMatcher>()
  for (const [room, one] of wanted) {
    const before = base.state.rooms.get(room)
    const isDirect = direct.has(one.userRoom.roomId)
    const telling = tellRoom(ctx, one, before, isDirect, base, matchers)
    if (telling) rooms.push(telling)
    const after: ToldRoom = { upTo: undefined, timelineLimit: limitOf(one), required: one.required, isDirect }
    if (before && isSameRoom(before, after)) continue
    // Last, so that those told of longest ago come first.
    told.delete(room)
    told.set(room, after)
    isChanged = true
  }
  return { counts, wanted, rooms, next: isChanged ? { ...base.state, rooms: told } : base.state }
}

function inRanges(rooms: readonly UserRoom[], ranges: readonly (readonly [number, number])[]): readonly UserRoom[] {
  if (ranges.length === 1) return rooms.slice(ranges[0]![0], ranges[0]![1] + 1)
  return [...new Set(ranges.flatMap(([first, last]) => rooms.slice(first, last + 1)))]
}

function wantedRooms(
  ctx: Pick<Context, 'domains'>,
  request: SlidingRequest,
  windows: ReadonlyMap<string, readonly UserRoom[]>,
  list: RoomList,
  base: Base,
): Map<number, WantedRoom> {
  const wanted = new Map<number, WantedRoom>()
  const alone = new Map<RequiredState, readonly RequiredState[]>()
  const combined = (known: readonly RequiredState[] | undefined, added: RequiredState): readonly RequiredState[] => {
    if (known) return known.includes(added) ? known : [...known, added]
    let one = alone.get(added)
    if (!one) alone.set(added, (one = [added]))
    return one
  }
  const add = (userRoom: UserRoom, config: RoomRequest, name: string | undefined): void => {
    // Told once the position has got there.
    if (userRoom.since > base.upTo || awaitsMembers(ctx, userRoom, config.required, base.upTo)) return
    const known = wanted.get(userRoom.room)
    const told = base.state.rooms.get(userRoom.room)
    const required = combined(known?.required, config.required)
    wanted.set(userRoom.room, {
      userRoom,
      // Spec: MSC4186, "Combining room configs".
      config: { ...config, timelineLimit: Math.max(config.timelineLimit, known?.config.timelineLimit ?? 0) },
      required,
      lists: name === undefined ? (known?.lists ?? []) : [...(known?.lists ?? []), name],
      isSubscribed: name === undefined || (known?.isSubscribed ?? false),
      after: told && (told.upTo ?? base.position),
    })
  }
  for (const [name, rooms] of windows) for (const room of rooms) add(room, request.lists.get(name)!, name)
  for (const [roomId, config] of request.subscriptions) {
    const userRoom = list.room(roomId)
    if (userRoom && list.isShown(userRoom, { rooms: base.state.rooms, position: base.position }))
      add(userRoom, config, undefined)
  }
  return wanted
}

/** Who wants members of a room that was joined without them is told of it once they are there, as in `/v3/sync`. */
function awaitsMembers(
  { domains }: Pick<Context, 'domains'>,
  { membership, completed }: UserRoom,
  required: RequiredState,
  upTo: number,
): boolean {
  if (completed === undefined || membership !== 'join' || (completed !== 'not yet' && completed <= upTo)) return false
  const { allMembers, keys } = stateMatcher([required])
  const isOfOthers = (stateKey: string): boolean => {
    const server = serverNameOf(stateKey as UserId)
    return server !== undefined && !domains.isLocal(server)
  }
  return allMembers || keys.some(([type, stateKey]) => type === 'm.room.member' && isOfOthers(stateKey))
}

/** Something that was told of the room turned out to be wrong when its members came to be known. */
function isCorrectedSince({ completed, isCorrected }: UserRoom, after: number, upTo: number): boolean {
  return isCorrected && typeof completed === 'number' && completed > after && completed <= upTo
}

const sections = { join: 'join', invite: 'invite', knock: 'knock', leave: 'leave', ban: 'leave' } as const

function tellRoom(
  ctx: Context,
  one: WantedRoom,
  before: ToldRoom | undefined,
  isDirect: boolean,
  base: Base,
  matchers: Map<string, StateMatcher>,
): SlidingRoom | undefined {
  const { userRoom, required, lists } = one
  const section = sections[userRoom.membership]
  const feed = ctx.feeds.of(userRoom.room)
  const isWrong = section === 'join' && one.after !== undefined && isCorrectedSince(userRoom, one.after, base.upTo)
  const changed = one.after === undefined || userRoom.since > one.after || isWrong
  // Who came into the room anew has seen nothing of what went on meanwhile.
  const after = changed && section !== 'leave' ? undefined : one.after
  const warm = after !== undefined && after >= (feed?.completeAfter ?? ctx.feeds.completeAfter)
  const upTo = section === 'leave' ? Math.min(userRoom.since, base.upTo) : base.upTo
  const matcher = matcherOf(required, matchers)
  const timelineLimit = limitOf(one)
  // Who came into a room anew is told of it as of a new one.
  const span = { userRoom, upTo, feed, isRejoined: false }
  const isFull = after === undefined
  const tellsDirect = isFull || before === undefined ? isDirect : before.isDirect !== isDirect
  const common = { matcher, timelineLimit, isDirect, tellsDirect, lists }
  if (section === 'invite' || section === 'knock') {
    if (!changed) return undefined
    const plan: RoomPlan = { ...span, section, full: true, after: beginning, warm: false }
    return { ...common, plan, after, before: undefined, isExpanded: false }
  }
  if (section === 'leave' && !isFull && !changed) return undefined
  const isExpanded = !isFull && before !== undefined && timelineLimit > before.timelineLimit
  const isMore = !isFull && before !== undefined && !isSameState(before.required, required)
  const isQuiet = warm && !changed && lastEventOf(feed) <= after && userRoom.readAt <= after
  if (isQuiet && !isExpanded && !isMore && !tellsDirect) return undefined
  const full = isFull || isExpanded
  const warmJoin = warm && !full && section === 'join'
  const plan: RoomPlan = { ...span, section, full, after: full ? beginning : after!, warm: warmJoin }
  return { ...common, plan, after, before: isMore ? matcherOf(before.required, matchers) : undefined, isExpanded }
}

function lastEventOf(feed: RoomPlan['feed']): number {
  return Math.max(feed?.events.at(-1)?.position ?? 0, feed?.silentChanges.at(-1)?.position ?? 0)
}

function matcherOf(required: readonly RoomRequest['required'][], known: Map<string, StateMatcher>): StateMatcher {
  const key = requiredText(required)
  let matcher = known.get(key)
  if (!matcher) known.set(key, (matcher = stateMatcher(required)))
  return matcher
}

function limitOf({ config }: WantedRoom): number {
  return Math.min(config.timelineLimit, MAX_TIMELINE_EVENTS)
}

/** The rooms of an answer that an extension is asked about, by its `lists` and `rooms`. */
export function roomsOfExtension(
  plan: SlidingPlan,
  asked: { readonly lists?: readonly string[] | null; readonly rooms?: readonly string[] | null },
): WantedRoom[] {
  const lists = asked.lists === undefined ? ['*'] : (asked.lists ?? [])
  const rooms = asked.rooms === undefined ? ['*'] : (asked.rooms ?? [])
  return [...plan.wanted.values()].filter(
    (one) =>
      one.lists.some((name) => lists.includes('*') || lists.includes(name)) ||
      (one.isSubscribed && (rooms.includes('*') || rooms.includes(one.userRoom.roomId as RoomId))),
  )
}
