import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import { visibleEvent } from './room-access.ts'

/**
 * An event of a room as JSON text, with its room.
 *
 * @throws MatrixError M_NOT_FOUND: "The event was not found or you do not have permission to read this event" are one answer.
 */
export async function readEvent(ctx: Context, reader: Reader, roomId: RoomId, eventId: EventId): Promise<string> {
  const { view, stored } = await visibleEvent(ctx, roomId, eventId, reader.userId).catch(notFound)
  const views = new Map([[view.room.room, view.history]])
  const [text] = await describeEvents(ctx, reader, [stored], { views, roomIds: true })
  return text!
}

function notFound(error: unknown): never {
  if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') {
    throw new MatrixError('M_NOT_FOUND', 'Event not found')
  }
  throw error
}
