import type { Context } from '../context.ts'
import { parseRoomId, type RoomId, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { copyToRoom } from '../matrix/push-rules/edit.ts'

/**
 * Lets a user who is new in a room find it as they had set up the one it replaces: their push rules for that one are copied.
 *
 * Spec: Client-Server API, "Room upgrades" leaves this open; users expect a room that they muted to stay so.
 */
export async function followReplacement(
  ctx: Pick<Context, 'hotRooms' | 'dictionaries' | 'pushRules'>,
  roomId: RoomId,
  userId: UserId,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  const predecessor = room?.get('m.room.create', '')?.pdu.content.predecessor as JsonObject | null | undefined
  const before = typeof predecessor?.room_id === 'string' ? parseRoomId(predecessor.room_id) : undefined
  if (!before || before === roomId) return
  const userNid = (await ctx.dictionaries.internUsers([userId])).get(userId)!
  await ctx.pushRules.change({ userId, userNid }, (stored) => copyToRoom(stored, before, roomId))
}
