import type { RoomId } from '../matrix/ids.ts'
import { statement } from './database.ts'

export const noticeRoomOf = statement<{ room_id: RoomId }>(
  'server notice room',
  'select room_id from server_notice_rooms join rooms using (room) where user_nid = $1',
)

/** Of several at once the first stays. */
export const insertNoticeRoom = statement<never>(
  'insert server notice room',
  'insert into server_notice_rooms (user_nid, room) values ($1, $2) on conflict do nothing',
)
