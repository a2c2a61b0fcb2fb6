import type { RoomId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import type { RoomUserRow } from './room-users.ts'

/** A row for each room of a user, and one without a room for the list of ignored users. */
export type SessionRow =
  | (RoomUserRow & {
      room_id: RoomId
      threads_read_position: number
      /** Exceptions since what was read, summed up. */
      notify: number
      highlight: number
      /** Its members are not all known yet; or the position at which they came to be. */
      partial: boolean
      completed_at: number | null
      corrected: boolean | null
      ignored: null
    })
  | { room: null; ignored: string }

/**
 * All that a user's session is made of. Parameters: the user; the position up to which exceptions count.
 */
export const sessionOfUser = statement<SessionRow>(
  'session of a user',
  `select u.user_nid, u.room, u.membership, u.event_nid, u.since, u.forgotten, u.read_position, u.read_notify_index,
     u.read_highlight_index, u.threads_read_position, r.room_id, coalesce(x.notify, 0)::int as notify,
     coalesce(x.highlight, 0)::int as highlight, r.partial_state as partial, f.completed_at, f.corrected,
     null as ignored
   from room_users u join rooms r using (room) left join partial_rooms f using (room)
   left join (
     select p.room, sum(p.notify) as notify, sum(p.highlight) as highlight
     from push_exceptions p join room_users v using (user_nid, room)
     where p.user_nid = $1 and p.event_nid > v.read_position and p.event_nid <= $2 group by p.room) x using (room)
   where u.user_nid = $1
   union all
   select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, content
   from account_data where user_nid = $1 and room = 0 and type = 'm.ignored_user_list'`,
)
