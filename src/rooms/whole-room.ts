import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { HotRoom } from './hot-room.ts'

/** Milliseconds that a request waits for the members of a room that was joined without them. */
const patience = 120_000
/** Milliseconds between two looks, also where nothing is heard. */
const pause = 250

/**
 * Resolves when all members of a room are known: at once, but for a room that was joined without them.
 *
 * @throws MatrixError M_UNKNOWN (504) when they do not come in time; the client asks again.
 */
export async function wholeRoom(ctx: Pick<Context, 'hotRooms' | 'closing'>, room: HotRoom): Promise<void> {
  const deadline = performance.now() + patience
  for (let current: HotRoom | undefined = room; current?.partialState; current = await ctx.hotRooms.get(room.roomId)) {
    if (performance.now() > deadline || ctx.closing.aborted) {
      throw new MatrixError('M_UNKNOWN', 'The members of the room are not known yet', { status: 504 })
    }
    await new Promise((resolve) => setTimeout(resolve, pause).unref())
  }
}
