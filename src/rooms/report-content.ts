import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import { isJoined, visibleEvent } from './room-access.ts'

type Engine = Parameters<typeof visibleEvent>[0] & Pick<Context, 'database' | 'clock' | 'log'>
type Reporter = { readonly userId: UserId; readonly userNid: number }

const insertReport = statement<never>(
  'insert report',
  `insert into reports (reporter, received_at, room, event_nid, reported_user, reason) values ($1, $2, $3, $4, $5, $6)`,
)

/**
 * Notes a report of a room. Whether there is such a room is not told.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/report` (v1.19).
 */
export async function reportRoom(ctx: Engine, reporter: Reporter, roomId: RoomId, reason: string): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (room) await note(ctx, reporter, { room: room.room }, reason, { roomId })
}

/**
 * Notes a report of an event that its reporter can see.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}` (v1.19).
 *
 * @throws MatrixError M_NOT_FOUND, the same for an event that is not there and for who is not in its room.
 */
export async function reportEvent(
  ctx: Engine,
  reporter: Reporter,
  roomId: RoomId,
  eventId: EventId,
  reason: string | undefined,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room || !(await isJoined(ctx, room, reporter.userId))) throw new MatrixError('M_NOT_FOUND', 'Event not found')
  const { stored } = await visibleEvent(ctx, roomId, eventId, reporter.userId)
  await note(ctx, reporter, { room: room.room, event: stored.nid }, reason, { roomId, eventId })
}

/**
 * Notes a report of a user. Whether there is such a user is not told.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/users/{userId}/report` (v1.19).
 */
export async function reportUser(ctx: Engine, reporter: Reporter, userId: UserId, reason: string): Promise<void> {
  const user = (await ctx.dictionaries.findUsers([userId])).get(userId)
  if (user !== undefined) await note(ctx, reporter, { user }, reason, { reported: userId })
}

async function note(
  ctx: Engine,
  reporter: Reporter,
  what: { readonly room?: number; readonly event?: number; readonly user?: number },
  reason: string | undefined,
  forLog: { readonly [name: string]: string },
): Promise<void> {
  const { room = null, event = null, user = null } = what
  await ctx.database.read(insertReport, [reporter.userNid, ctx.clock.now(), room, event, user, reason ?? null])
  ctx.log.info({ reporter: reporter.userId, ...forLog }, 'A user reported something')
}
