import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_EVENT_BYTES } from '../matrix/limits.ts'
import { guestForbidden } from '../rooms/guest-access.ts'
import { joinedRoom } from '../rooms/room-access.ts'
import { delayedEventsOf, delayedRequest, insertDelayedEvent } from '../storage/delayed-events.ts'

export type EventToDelay = {
  readonly roomId: RoomId
  readonly type: string
  readonly stateKey?: string
  /** Undefined: the request had none, as it may when it is repeated. */
  readonly content: JsonObject | undefined
  /** Distinguishes the request from others of the device. */
  readonly request: string
  readonly originServerTs?: number
  /** Milliseconds for which it is sticky once it is sent. */
  readonly stickyMs?: number
  /** Milliseconds. */
  readonly delay: number
}

type Engine = Pick<Context, 'config' | 'database' | 'hotRooms' | 'random' | 'clock' | 'delayedEvents'>

/**
 * Keeps an event to be sent later. A repeated request gets the id of the first.
 *
 * Spec: MSC4140.
 *
 * @throws MatrixError M_UNKNOWN with the MSC's own code for a delay that is too long, or too many; M_FORBIDDEN for who is
 * not in the room; M_GUEST_ACCESS_FORBIDDEN for memberships of guests; M_TOO_LARGE.
 */
export async function scheduleEvent(
  ctx: Engine,
  requester: Pick<Requester, 'userId' | 'userNid' | 'deviceId' | 'isGuest'>,
  event: EventToDelay,
): Promise<{ delay_id: string }> {
  const longest = ctx.config.delayed_events.max_delay_seconds * 1000
  if (event.delay > longest) {
    throw refused('M_MAX_DELAY_EXCEEDED', 'The delay is too long', { 'org.matrix.msc4140.max_delay': longest })
  }
  // Whether guests may be in the room is not known for later.
  if (requester.isGuest && event.type === 'm.room.member') throw guestForbidden()
  const device = requester.deviceId ?? ''
  const [repeated] = await ctx.database.read(delayedRequest, [requester.userNid, device, event.request])
  if (repeated) return { delay_id: repeated.delay_id }
  if (event.content === undefined) throw new MatrixError('M_NOT_JSON', 'The body is missing')
  const content = JSON.stringify(event.content)
  if (Buffer.byteLength(content) > MAX_EVENT_BYTES) throw new MatrixError('M_TOO_LARGE', 'The event is too large')
  await joinedRoom(ctx, event.roomId, requester.userId)
  const [row] = await ctx.database.read(insertDelayedEvent, [
    ctx.random.token(18),
    requester.userNid,
    device,
    event.request,
    event.roomId,
    event.type,
    event.stateKey ?? null,
    content,
    event.originServerTs ?? null,
    event.delay,
    ctx.clock.now(),
    ctx.config.delayed_events.max_per_user,
    event.stickyMs ?? null,
  ])
  if (!row?.delay_id) throw refused('M_MAX_DELAYED_EVENTS_EXCEEDED', 'Too many delayed events are waiting', {})
  ctx.delayedEvents.changed()
  return { delay_id: row.delay_id }
}

function refused(code: string, message: string, extra: JsonObject): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 400, extra: { 'org.matrix.msc4140.errcode': code, ...extra } })
}

/** The delayed events of a user, the next one first. */
export async function listDelayedEvents(ctx: Pick<Context, 'database'>, userNid: number): Promise<JsonObject> {
  const rows = await ctx.database.read(delayedEventsOf, [userNid])
  return {
    delayed_events: rows.map((row) => ({
      delay_id: row.delay_id,
      room_id: row.room_id,
      type: row.type,
      ...(row.state_key !== null && { state_key: row.state_key }),
      delay: row.delay,
      running_since: row.running_since,
      content: JSON.parse(row.content) as JsonObject,
    })),
  }
}
