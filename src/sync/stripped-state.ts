import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { strippedText } from '../rooms/client-event.ts'
import type { StateTuple } from '../rooms/hot-rooms.ts'
import type { RoomPlan } from './room-plan.ts'

/** What somebody who is invited or knocks is shown of a room. Spec: Client-Server API, "Stripped state". */
export const strippedStateKeys: readonly StateTuple[] = [
  ['m.room.create', ''],
  ['m.room.name', ''],
  ['m.room.avatar', ''],
  ['m.room.topic', ''],
  ['m.room.join_rules', ''],
  ['m.room.canonical_alias', ''],
  ['m.room.encryption', ''],
]

/**
 * The stripped state of rooms the user is invited to or knocks on, as JSON texts by room. Invites by ignored users are
 * left out.
 */
export async function strippedRoomState(
  ctx: Pick<Context, 'hotRooms'>,
  plans: readonly RoomPlan[],
  userId: UserId,
  ignored: ReadonlySet<string>,
): Promise<Map<number, string[]>> {
  const texts = new Map<number, string[]>()
  for (const { section, userRoom } of plans) {
    if (section !== 'invite' && section !== 'knock') continue
    const room = await ctx.hotRooms.get(userRoom.roomId)
    if (!room) continue
    await ctx.hotRooms.load(room, [...strippedStateKeys, ['m.room.member', userId]])
    const own = room.get('m.room.member', userId)
    if (own && section === 'invite' && ignored.has(own.pdu.sender)) continue
    const inviter: StateTuple[] = own && section === 'invite' ? [['m.room.member', own.pdu.sender]] : []
    await ctx.hotRooms.load(room, inviter)
    const shown: StateTuple[] = [...strippedStateKeys, ...inviter, ['m.room.member', userId]]
    const events = new Set(shown.flatMap(([type, stateKey]) => room.get(type, stateKey) ?? []))
    texts.set(
      userRoom.room,
      [...events].map((event) => strippedText({ event })),
    )
  }
  return texts
}
