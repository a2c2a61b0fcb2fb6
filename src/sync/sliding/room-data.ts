import type { Context } from '../../context.ts'
import { valueAt } from '../../rooms/history-visibility.ts'
import { unreadCounts } from '../../rooms/unread.ts'
import type { StoredEvent } from '../../storage/events.ts'
import { describeRooms } from '../describe-rooms.ts'
import { compileEventFilter } from '../filter.ts'
import { type Counts, loadCounts } from '../room-extras.ts'
import { loadTimelines, type RoomTimeline } from '../room-timelines.ts'
import type { Session } from '../sessions.ts'
import { leavesElsewhere, strippedRoomState } from '../stripped-state.ts'
import { splitByThread } from '../thread-counts.ts'
import { loadBumpStamps } from './bump-stamps.ts'
import type { SlidingRoom } from './plan.ts'
import type { SlidingRequest } from './request.ts'
import { loadRoomStates, type RoomState, type StateKey, type StateRequest } from './room-state.ts'
import type { ToldMembersOfConnection } from './told-members.ts'

export type Hero = { readonly user_id: string; readonly displayname?: string; readonly avatar_url?: string }

/** What an answer tells of a room, in the terms of both forms. Events are JSON texts; what is undefined is left out. */
export type RoomResult = {
  readonly roomId: string
  readonly membership: string
  readonly initial: boolean
  readonly isExpanded: boolean
  readonly lists: readonly string[]
  readonly isDirect: boolean | undefined
  readonly bumpStamp: number | undefined
  /** Of an invite or a knock; nothing else is told of these. */
  readonly stripped: readonly string[] | undefined
  /** Null: gone. */
  readonly name: string | null | undefined
  readonly avatar: string | null | undefined
  readonly heroes: readonly Hero[] | undefined
  readonly timeline: readonly string[]
  readonly prevBatch: number | undefined
  readonly limited: boolean
  readonly live: number
  readonly required: readonly string[]
  readonly removed: readonly StateKey[]
  readonly counts:
    | {
        readonly joined: number
        readonly invited: number
        /** Without threads, and with them. */
        readonly main: { readonly notify: number; readonly highlight: number }
        readonly all: { readonly notify: number; readonly highlight: number }
      }
    | undefined
}

export type RoomsResult = {
  readonly rooms: readonly RoomResult[]
  /** Members told for the first time, and the rooms in which the client forgets whom it was told of. */
  readonly members: ReadonlyMap<number, readonly string[]>
  readonly gaps: ReadonlySet<number>
  /** The position before the first event that is told of each room's timeline. */
  readonly starts: ReadonlyMap<number, number>
  /** The numbers of the events that are told in each room's timeline. */
  readonly shown: ReadonlyMap<number, ReadonlySet<number>>
}

/**
 * Everything an answer tells of its rooms: a fixed number of statements for any number of them, and none for what memory
 * holds.
 */
export async function loadRoomData(
  ctx: Context,
  session: Session,
  request: SlidingRequest,
  rooms: readonly SlidingRoom[],
  told: ToldMembersOfConnection,
  since: number | undefined,
): Promise<RoomsResult> {
  if (rooms.length === 0) return { rooms: [], members: new Map(), gaps: new Set(), starts: new Map(), shown: new Map() }
  const open = rooms.filter(({ plan }) => plan.section === 'join' || plan.section === 'leave')
  const timelines = await loadSlidingTimelines(ctx, session, open)
  const joined = open.filter(({ plan }) => plan.section === 'join').map((room) => timelines.get(room)!)
  const plans = rooms.map(({ plan }) => plan)
  const { userId } = request.reader
  const [counts, bumps, stripped, left] = await Promise.all([
    loadCounts(ctx, session, joined),
    loadBumpStamps(ctx, rooms, timelines),
    strippedRoomState(ctx, plans, userId, session.ignored),
    leavesElsewhere(ctx, plans, userId),
  ])
  const heroIds = await ctx.dictionaries.userIds([...counts.values()].flatMap(({ heroes }) => heroes ?? []))
  const stateRequests = open.map((room): StateRequest => {
    const timeline = timelines.get(room)!
    const nid = room.plan.userRoom.room
    const heroes = (counts.get(nid)?.heroes ?? []).flatMap((hero) => heroIds.get(hero) ?? [])
    return { room, timeline, upTo: stateUpTo(room, timeline), lazy: lazyMembers(room, timeline, told), heroes }
  })
  const states = await loadRoomStates(ctx, stateRequests)
  const described = await describeRooms(ctx, session, request.reader, [...timelines.values()], {
    byRoom: new Map([...states].map(([room, { required }]) => [room, required])),
    replaced: replacedIn(timelines.values()),
  })
  const members = new Map<number, readonly string[]>()
  const gaps = new Set<number>()
  const starts = new Map<number, number>()
  const shownNids = new Map<number, ReadonlySet<number>>()
  const requests = new Map(stateRequests.map((one) => [one.room, one]))
  const results = rooms.flatMap((room): RoomResult[] => {
    const nid = room.plan.userRoom.room
    const bump = bumps.get(nid)
    const timeline = timelines.get(room)
    if (!timeline) {
      const texts = stripped.get(nid)
      return texts ? [strippedResult(room, texts)] : []
    }
    const state = states.get(nid)!
    const told = requests.get(room)!
    if (told.lazy.length > 0) members.set(nid, told.lazy)
    if (timeline.limited || room.after === undefined) gaps.add(nid)
    const leave = left.get(nid)
    const shown = leave === undefined ? (described.timeline.get(nid) ?? []) : [leave]
    const texts = { timeline: shown, required: described.state.get(nid) ?? [] }
    starts.set(nid, timeline.start)
    shownNids.set(nid, new Set(timeline.events.map((event) => event.nid)))
    const around = { counts: counts.get(nid), bump, heroes: told.heroes, since }
    const result = openResult(room, timeline, state, texts, around)
    return isEmpty(room, result) ? [] : [result]
  })
  return { rooms: results, members, gaps, starts, shown: shownNids }
}

/** Rooms have limits of their own; those with the same one are read together. */
async function loadSlidingTimelines(
  ctx: Context,
  session: Session,
  rooms: readonly SlidingRoom[],
): Promise<Map<SlidingRoom, RoomTimeline>> {
  const timelines = new Map<SlidingRoom, RoomTimeline>()
  const byLimit = Map.groupBy(rooms, ({ timelineLimit }) => timelineLimit)
  await Promise.all(
    [...byLimit].map(async ([limit, group]) => {
      const loaded = await loadTimelines(
        ctx,
        group.map(({ plan }) => plan),
        { userId: session.userId, filter: compileEventFilter({ limit }), ignored: session.ignored },
      )
      for (const [index, room] of group.entries()) timelines.set(room, loaded[index]!)
    }),
  )
  return timelines
}

/** The position whose state the reader may see: of a room that was left, as it was at the leaving. */
function stateUpTo({ plan, after }: SlidingRoom, { view }: RoomTimeline): number | undefined {
  if (plan.section === 'join') return plan.upTo
  const lastJoin = view?.memberships.findLast(({ value, from }) => value === 'join' && from <= plan.upTo)
  if (!lastJoin) return undefined
  const upTo = Math.min(lastJoin.to ?? plan.upTo, plan.upTo)
  // Rejoined and gone again meanwhile, or an invite that came to nothing: only what was not told before.
  const knew = after === undefined || valueAt(view!.memberships, after) === 'join'
  return upTo <= (after ?? -1) || !knew ? undefined : upTo
}

/** Spec: MSC4186, "Lazy loaded memberships": who sent what is told, and whom memberships among it are about. */
function lazyMembers(room: SlidingRoom, { events, limited }: RoomTimeline, told: ToldMembersOfConnection): string[] {
  if (!room.matcher.lazy) return []
  const users = new Set<string>()
  for (const { event } of events) {
    users.add(event.pdu.sender)
    if (event.pdu.type === 'm.room.member' && event.pdu.state_key !== undefined) users.add(event.pdu.state_key)
  }
  const isAnew = limited || room.after === undefined
  return [...users].filter((userId) => isAnew || !told.told(room.plan.userRoom.room, userId))
}

function replacedIn(timelines: Iterable<RoomTimeline>): Map<number, StoredEvent | undefined> {
  const replaced = new Map<number, StoredEvent | undefined>()
  for (const { events, facts } of timelines) {
    for (const { nid } of events) {
      const fact = facts.get(nid)
      if (fact) replaced.set(nid, fact.replaced)
    }
  }
  return replaced
}

function strippedResult(
  { plan, after, lists, isDirect, tellsDirect }: SlidingRoom,
  stripped: readonly string[],
): RoomResult {
  const { roomId, membership, since } = plan.userRoom
  return {
    roomId,
    membership,
    initial: after === undefined,
    isExpanded: false,
    lists,
    isDirect: tellsDirect ? isDirect : undefined,
    bumpStamp: since,
    stripped,
    name: undefined,
    avatar: undefined,
    heroes: undefined,
    timeline: [],
    prevBatch: undefined,
    limited: false,
    live: 0,
    required: [],
    removed: [],
    counts: undefined,
  }
}

type Around = {
  readonly counts: Counts | undefined
  readonly bump: number | undefined
  readonly heroes: readonly string[]
  readonly since: number | undefined
}

function openResult(
  room: SlidingRoom,
  timeline: RoomTimeline,
  state: RoomState,
  texts: { readonly timeline: readonly string[]; readonly required: readonly string[] },
  { counts, bump, heroes, since }: Around,
): RoomResult {
  const { plan, after } = room
  const { userRoom } = plan
  const initial = after === undefined
  const unread = counts && splitByThread(unreadCounts(userRoom, counts), userRoom.threads!)
  const name = textOf(state.changed.get('m.room.name'), 'name', initial)
  return {
    roomId: userRoom.roomId,
    membership: userRoom.membership,
    initial,
    isExpanded: room.isExpanded,
    lists: room.lists,
    isDirect: room.tellsDirect ? room.isDirect : undefined,
    bumpStamp: bump,
    stripped: undefined,
    name,
    avatar: textOf(state.changed.get('m.room.avatar'), 'url', initial),
    heroes: heroes.length > 0 && typeof name !== 'string' ? heroes.map((userId) => heroOf(userId, state)) : undefined,
    timeline: texts.timeline,
    prevBatch: timeline.start,
    limited: timeline.limited,
    live: since === undefined ? 0 : timeline.events.filter((event) => (event.timeline ?? 0) > since).length,
    required: texts.required,
    removed: state.removed,
    counts: counts &&
      unread && {
        joined: counts.joinedMembers,
        invited: counts.invitedMembers,
        main: unread.main,
        all: unread.all,
      },
  }
}

/** Whether all that happened is not for this reader, such as messages of somebody who is ignored. */
function isEmpty({ plan, after }: SlidingRoom, result: RoomResult): boolean {
  if (result.initial || plan.userRoom.readAt > after! || plan.userRoom.since > after!) return false
  if (result.isExpanded || result.limited || result.isDirect !== undefined) return false
  const { timeline, required, removed, name, avatar } = result
  return timeline.length + required.length + removed.length === 0 && name === undefined && avatar === undefined
}

/** A text of a state event that is new; null where it is gone. Nobody keeps clients from setting something else. */
function textOf(event: StoredEvent | null | undefined, key: string, initial: boolean): string | null | undefined {
  if (event === undefined) return undefined
  const text = event?.event.pdu.content[key]
  if (typeof text === 'string' && text !== '') return text
  return initial ? undefined : null
}

function heroOf(userId: string, { members }: RoomState): Hero {
  const content = members.get(userId)?.event.pdu.content
  const [displayname, avatar] = [content?.displayname, content?.avatar_url]
  return {
    user_id: userId,
    ...(typeof displayname === 'string' && { displayname }),
    ...(typeof avatar === 'string' && { avatar_url: avatar }),
  }
}
