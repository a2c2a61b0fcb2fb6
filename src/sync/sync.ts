import type { Context } from '../context.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { type NewsRow, newsOfUser } from '../storage/user-data.ts'
import { describeRooms } from './describe-rooms.ts'
import { onlyFields } from './event-fields.ts'
import { inFederationFormat } from './federation-format.ts'
import type { SyncFilter } from './filter.ts'
import { presenceEvents } from './presence-events.ts'
import { profileSection } from './profile-section.ts'
import { coldReceipts, loadRoomExtras, type RoomExtras } from './room-extras.ts'
import { planRooms, type RoomPlan } from './room-plan.ts'
import { loadStates, type ToldMembers } from './room-states.ts'
import { loadTimelines, type RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'
import { stickyTexts } from './sticky-section.ts'
import { isElsewhere, leavesElsewhere, strippedRoomState } from './stripped-state.ts'
import { formatSyncToken, formatTimelineToken, type SyncToken } from './token.ts'
import { coldSince, loadUserExtras, toDevicePerSync, type UserExtras } from './user-extras.ts'

/** How the client wants state: the key it is under, and whether it is the one after the timeline. */
export type StateStyle = 'state' | 'state_after' | 'org.matrix.msc4222.state_after'

export type SyncRequest = {
  readonly reader: {
    readonly userId: UserId
    readonly userNid: number
    readonly deviceId: string
    readonly domain: ServerName
  }
  readonly since: SyncToken | undefined
  readonly filter: SyncFilter
  readonly fullState: boolean
  readonly stateStyle: StateStyle
}

export type SyncAnswer = {
  /** Pieces of JSON text. */
  readonly fragments: string[]
  /** Nothing that the client did not know: worth waiting for more. */
  readonly isEmpty: boolean
}

/**
 * Everything that happened to a user up to now, after `since`.
 *
 * Spec: Client-Server API, "Syncing". A fixed number of statements whatever the number of rooms; none when memory
 * holds what happened.
 */
export async function buildSync(
  ctx: Context,
  session: Session,
  request: SyncRequest,
  told: ToldMembers,
): Promise<SyncAnswer> {
  const upTo = ctx.stream.position
  const typingCounter = ctx.typing.counter
  const since = request.since?.position
  const isOurs = request.since?.ephemeral?.process === ctx.processId
  const typingSince = isOurs ? request.since!.ephemeral!.counter : 0
  const span = { since, upTo, fullState: request.fullState, typingSince }
  const plans = planRooms(session, ctx.feeds, ctx.typing, span, request.filter)
  const withTimeline = plans.filter(
    ({ section, userRoom }) => section === 'join' || (section === 'leave' && !isElsewhere(userRoom)),
  )
  const timelines = await loadTimelines(ctx, withTimeline, {
    userId: request.reader.userId,
    filter: request.filter.timeline,
    ignored: session.ignored,
  })
  const news = loadNews(ctx, session, request, timelines, upTo)
  const [states, extras, user, stripped, left] = await Promise.all([
    loadStates(ctx, timelines, {
      filter: request.filter.state,
      after: request.stateStyle !== 'state',
      reader: request.reader,
      told,
    }),
    loadRoomExtras(ctx, session, timelines, request, typingSince, news),
    loadUserExtras(ctx, session, plans, request, upTo, news),
    strippedRoomState(ctx, plans, request.reader.userId, session.ignored),
    leavesElsewhere(ctx, plans, request.reader.userId),
  ])
  const sticky = await stickyTexts(ctx, session, timelines)
  const profiles = await profileSection(ctx, session, request, timelines, upTo)
  const inClientFormat = await describeRooms(ctx, session, request.reader, timelines, states)
  const texts = request.filter.isFederationFormat
    ? await inFederationFormat(ctx, inClientFormat, timelines, states)
    : inClientFormat
  const described = request.filter.eventFields ? picked(texts, onlyFields(request.filter.eventFields)) : texts
  const parts = { described, extras, user, stripped, left, sticky, request }
  const timelineOf = new Map(timelines.map((timeline) => [timeline.plan, timeline]))
  const rooms = plans.map((plan) => roomText(plan, { ...parts, timelines: timelineOf }))
  const token = formatSyncToken({
    position: upTo,
    ephemeral: { process: ctx.processId, counter: typingCounter },
    ...(user.toDeviceUpTo !== undefined && { toDevice: user.toDeviceUpTo }),
  })
  for (const room of dataAlone(session, plans, user, request)) rooms.push(room)
  const presence = presenceEvents(ctx, session, plans, request, isOurs ? typingSince : undefined)
  return assemble(rooms, user, { presence, profiles }, token)
}

/** What memory does not hold of account data, receipts and messages to the device: one statement, or none. */
async function loadNews(
  ctx: Pick<Context, 'database'>,
  session: Session,
  { reader, since }: SyncRequest,
  timelines: readonly RoomTimeline[],
  upTo: number,
): Promise<readonly NewsRow[]> {
  const cold = coldSince(session, since?.position, since?.toDevice ?? since?.position ?? 0)
  const receipts = coldReceipts(timelines)
  if (cold.accountData === undefined && cold.toDevice === undefined && receipts.rooms.length === 0) return []
  return ctx.database.read(newsOfUser, [
    reader.userNid,
    reader.deviceId,
    upTo,
    cold.accountData ?? null,
    cold.toDevice ?? null,
    toDevicePerSync,
    receipts.rooms,
    receipts.after,
  ])
}

type RoomText = { readonly section: RoomPlan['section']; readonly text: string } | undefined

type Described = Awaited<ReturnType<typeof describeRooms>>

function picked({ timeline, state }: Described, pick: (text: string) => string): Described {
  const each = (texts: Map<number, string[]>) => new Map([...texts].map(([room, list]) => [room, list.map(pick)]))
  return { timeline: each(timeline), state: each(state) }
}

type Parts = {
  readonly timelines: ReadonlyMap<RoomPlan, RoomTimeline>
  readonly described: { timeline: Map<number, string[]>; state: Map<number, string[]> }
  readonly extras: Map<number, RoomExtras>
  readonly user: UserExtras
  readonly stripped: Map<number, string[]>
  readonly left: Map<number, string>
  readonly sticky: ReadonlyMap<number, readonly string[]>
  readonly request: SyncRequest
}

function roomText(plan: RoomPlan, parts: Parts): RoomText {
  const { room, roomId } = plan.userRoom
  if (plan.section === 'invite' || plan.section === 'knock') {
    const stripped = parts.stripped.get(room)
    if (!stripped) return undefined
    const events = stripped.join(',')
    return named(plan, `{"${plan.section}_state":{"events":[${events}]}}`)
  }
  const stateKey = parts.request.stateStyle
  if (isElsewhere(plan.userRoom)) {
    const leave = parts.left.get(room)
    const timeline = `{"events":[${leave ?? ''}],"limited":false,"prev_batch":"${formatTimelineToken(plan.upTo)}"}`
    return named(plan, `{"timeline":${timeline},"${stateKey}":{"events":[]},"account_data":{"events":[]}}`)
  }
  const timeline = parts.timelines.get(plan)!
  const events = parts.described.timeline.get(room) ?? []
  const state = parts.described.state.get(room) ?? []
  const extras = parts.extras.get(room)
  const wantsData = parts.request.filter.roomAccountData.allowsRoom(roomId)
  const accountData = wantsData ? (parts.user.roomAccountData.get(room) ?? []) : []
  const sticky = parts.sticky.get(room) ?? []
  const isEmpty =
    events.length + state.length + accountData.length + sticky.length === 0 &&
    !timeline.limited &&
    (extras?.isEmpty ?? true)
  if (isEmpty && !plan.full) return undefined
  const text =
    `{"timeline":{"events":[${events.join(',')}],"limited":${timeline.limited},"prev_batch":"${formatTimelineToken(timeline.start)}"},` +
    `"${stateKey}":{"events":[${state.join(',')}]},"account_data":{"events":[${accountData.join(',')}]}`
  const stuck = sticky.length === 0 ? '' : `,"msc4354_sticky":{"events":[${sticky.join(',')}]}`
  return named(plan, plan.section === 'join' ? `${text}${stuck},${extras?.text ?? ''}}` : `${text}}`)
}

/** Rooms of which nothing is new but the user's account data for them. */
function dataAlone(
  session: Session,
  plans: readonly RoomPlan[],
  user: UserExtras,
  { filter, stateStyle }: SyncRequest,
): RoomText[] {
  const planned = new Set(plans.map(({ userRoom }) => userRoom.room))
  return [...user.roomAccountData].flatMap(([room, events]): RoomText[] => {
    const userRoom = planned.has(room) ? undefined : session.rooms.get(room)
    if (userRoom?.membership !== 'join') return []
    if (!filter.allowsRoom(userRoom.roomId) || !filter.roomAccountData.allowsRoom(userRoom.roomId)) return []
    const text = `{"account_data":{"events":[${events.join(',')}]},"${stateStyle}":{"events":[]}}`
    return [{ section: 'join', text: `${JSON.stringify(userRoom.roomId)}:${text}` }]
  })
}

function named(plan: RoomPlan, text: string): RoomText {
  return { section: plan.section, text: `${JSON.stringify(plan.userRoom.roomId)}:${text}` }
}

function assemble(
  rooms: readonly RoomText[],
  user: UserExtras,
  { presence, profiles }: { readonly presence: readonly string[]; readonly profiles: readonly string[] },
  nextBatch: string,
): SyncAnswer {
  const sections = { join: [], invite: [], knock: [], leave: [] } as Record<RoomPlan['section'], string[]>
  for (const room of rooms) if (room) sections[room.section].push(room.text)
  const fragments = [`{"next_batch":"${nextBatch}"`]
  const nonEmpty = Object.entries(sections).filter(([, texts]) => texts.length > 0)
  if (nonEmpty.length > 0) {
    fragments.push(`,"rooms":{${nonEmpty.map(([section, texts]) => `"${section}":{${texts.join(',')}}`).join(',')}}`)
  }
  if (presence.length > 0) fragments.push(`,"presence":{"events":[${presence.join(',')}]}`)
  if (profiles.length > 0) fragments.push(`,"org.matrix.msc4429.users":{${profiles.join(',')}}`)
  fragments.push(user.text, '}')
  return { fragments, isEmpty: nonEmpty.length + presence.length + profiles.length === 0 && user.isEmpty }
}
