import { contentField } from './content-field.ts'
import { statement } from './database.ts'

/**
 * Who came to share a room with a user in a span of the stream, and still does. Users who join others are among them themselves: their own other devices have to know that there is
 * somebody to write to.
 *
 * Parameters: the user, after which position, up to which; whether those count who came to be known only then, since the user
 * had joined without the members.
 */
export const usersNowSharing = statement<{ user_nid: number }>(
  'users who came to share a room',
  `with came as (
     select b.user_nid, (a.since > $2 and a.since <= $3) or p.room is not null as joined
     from room_users a join room_users b on b.room = a.room and b.membership = 1
     left join partial_rooms p on p.room = a.room and p.completed_at > $2 and p.completed_at <= $3 and $4::bool
     where a.user_nid = $1 and a.membership = 1 and b.user_nid <> $1
       and ((a.since > $2 and a.since <= $3) or (b.since > $2 and b.since <= $3) or p.room is not null)
   )
   select distinct user_nid from came
   union select $1 where exists (select from came where joined)`,
)

/**
 * Who may have ceased to share a room with a user in a span of the stream, and shares none now. Rooms that the user left
 * count only if the user was joined there during the span: the members of a room are nothing for those who were merely
 * invited.
 *
 * Parameters: the user, after which position, up to which, the user's id.
 */
export const usersNoLongerSharing = statement<{ user_nid: number }>(
  'users who ceased to share a room',
  `with left_behind as (
     select b.user_nid from room_users a join room_users b on b.room = a.room
     where a.user_nid = $1 and a.membership = 1 and b.membership in (0, 4) and b.since > $2 and b.since <= $3
     union
     select b.user_nid from room_users a join room_users b on b.room = a.room
     where a.user_nid = $1 and a.membership <> 1 and a.since > $2 and a.since <= $3
       and (b.membership = 1 or b.since > a.since)
       and exists (select from room_state s join event_kinds k using (kind) join events e on e.event_nid = s.event_nid
         where s.room = a.room and k.type = 'm.room.member' and k.state_key = $4 and s.from_position <= a.since
           and s.to_position > $2 and ${contentField('e.content', 'membership')} = 'join'))
   select l.user_nid from left_behind l where l.user_nid <> $1 and not exists (
     select from room_users a join room_users b on b.room = a.room and b.membership = 1
     where a.user_nid = $1 and a.membership = 1 and b.user_nid = l.user_nid)`,
)
