import type { Context } from '../../context.ts'
import { lastOfKinds } from '../../storage/sliding-sync.ts'
import { eventsBetween } from '../feeds.ts'
import type { RoomTimeline } from '../room-timelines.ts'
import type { SlidingRoom } from './plan.ts'

/** Spec: MSC4186, `bump_stamp`. `m.room.create` is among them: it is the oldest event that is looked at, if there is no other. */
const bumping: ReadonlySet<string> = new Set([
  'm.room.create',
  'm.room.message',
  'm.room.encrypted',
  'm.sticker',
  'm.call.invite',
  'm.poll.start',
  'm.beacon_info',
])
/** How far back the last of these is looked for: a room in which people come and go only must not be read to its beginning. */
const bumpLookBack = 100

/** Bump stamps by room, where they are new. */
export async function loadBumpStamps(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  rooms: readonly SlidingRoom[],
  timelines: ReadonlyMap<SlidingRoom, RoomTimeline>,
): Promise<Map<number, number>> {
  const stamps = new Map<number, number>()
  const unknown: { room: number; upTo: number }[] = []
  for (const room of rooms) {
    const { plan, after } = room
    const { userRoom, feed, upTo } = plan
    const timeline = timelines.get(room)
    if (!timeline || plan.section === 'leave') {
      if (userRoom.since > (after ?? -1)) stamps.set(userRoom.room, userRoom.since)
      continue
    }
    const recent = feed ? eventsBetween(feed, after ?? 0, upTo) : []
    const events = [...timeline.events, ...recent.map(({ stored }) => stored)]
    const bumps = events.flatMap(({ event, timeline: at }) => (at !== null && bumping.has(event.pdu.type) ? [at] : []))
    const stamp = Math.max(...bumps, 0)
    if (stamp > (after ?? 0)) stamps.set(userRoom.room, stamp)
    else if (after === undefined || (timeline.limited && !plan.warm)) unknown.push({ room: userRoom.room, upTo })
  }
  if (unknown.length === 0) return stamps
  const types = [...bumping].filter((type) => type !== 'm.room.create')
  const kinds = await ctx.dictionaries.findKinds(types.map((type) => ({ type, stateKey: undefined })))
  const rows = await ctx.database.read(lastOfKinds, [
    unknown.map(({ room }) => room),
    unknown.map(({ upTo }) => upTo),
    [...kinds.values()],
    bumpLookBack,
  ])
  for (const { room, position } of rows) if (position !== null) stamps.set(room, position)
  return stamps
}
