import type { Endpoint } from '../../http/endpoint.ts'
import { ban } from './ban.ts'
import { forgetRoom } from './forget-room.ts'
import { getJoinedRooms } from './get-joined-rooms.ts'
import { getMutualRooms, getMutualRoomsUnstable } from './get-mutual-rooms.ts'
import { inviteUser } from './invite-user.ts'
import { joinRoom } from './join-room.ts'
import { joinRoomById } from './join-room-by-id.ts'
import { kick } from './kick.ts'
import { knockRoom } from './knock-room.ts'
import { leaveRoom } from './leave-room.ts'
import { unban } from './unban.ts'

/** Spec: Client-Server API, "Room membership". */
export const membershipEndpoints: readonly Endpoint[] = [
  getJoinedRooms,
  getMutualRooms,
  getMutualRoomsUnstable,
  inviteUser,
  joinRoom,
  joinRoomById,
  knockRoom,
  leaveRoom,
  forgetRoom,
  kick,
  ban,
  unban,
]
