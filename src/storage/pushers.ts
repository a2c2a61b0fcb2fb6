import type { UserId } from '../matrix/ids.ts'
import { type Db, statement } from './database.ts'
import { rootOfReceipt } from './room-summaries.ts'

export type PusherRow = {
  pusher: number
  user_nid: number
  device_id: string | null
  app_id: string
  pushkey: string
  kind: string
  app_display_name: string
  device_display_name: string
  profile_tag: string | null
  lang: string
  /** JSON text. */
  data: string
  enabled: boolean
  created_at: number
  position: number
  badge: number | null
  failures: number
  failing_since: number | null
  retry_at: number
}

const columns = `p.pusher, p.user_nid, p.device_id, p.app_id, p.pushkey, p.kind, p.app_display_name, p.device_display_name,
  p.profile_tag, p.lang, p.data, p.enabled, p.created_at, p.position, p.badge, p.failures, p.failing_since, p.retry_at`

export const pushersOfUser = statement<PusherRow>(
  'pushers of a user',
  `select ${columns} from pushers p where p.user_nid = $1 order by p.pusher`,
)

export const pusherWithUser = statement<PusherRow & { user_id: UserId }>(
  'a pusher',
  `select ${columns}, user_id from pushers p join users using (user_nid) where p.pusher = $1 and p.enabled`,
)

export type PusherState = Pick<PusherRow, 'pusher' | 'user_nid' | 'position' | 'failing_since' | 'retry_at'>

/** With a user only theirs, else everybody's. */
export const enabledPushers = statement<PusherState>(
  'enabled pushers',
  `select pusher, user_nid, position, failing_since, retry_at from pushers
   where enabled and ($1::int is null or user_nid = $1)`,
)

/** Makes a pusher, or changes the one the user has at that address: what it was not told of yet it still is. */
export const savePusher = statement<never>(
  'save a pusher',
  `insert into pushers (user_nid, device_id, app_id, pushkey, kind, app_display_name, device_display_name, profile_tag,
     lang, data, enabled, created_at, badge, position)
   select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, position from stream
   on conflict (user_nid, app_id, pushkey) do update set device_id = excluded.device_id, kind = excluded.kind,
     app_display_name = excluded.app_display_name, device_display_name = excluded.device_display_name,
     profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data, enabled = excluded.enabled,
     created_at = excluded.created_at, retry_at = 0,
     failing_since = case when pushers.enabled then pushers.failing_since end,
     position = case when pushers.enabled then pushers.position else excluded.position end`,
)

export const deletePusherOf = statement<{ user_nid: number }>(
  'delete a pusher of a user',
  'delete from pushers where user_nid = $1 and app_id = $2 and pushkey = $3 returning user_nid',
)

/** An address that changed hands. */
export const deletePushersOfOthers = statement<{ user_nid: number }>(
  'delete pushers of others',
  'delete from pushers where user_nid <> $1 and app_id = $2 and pushkey = $3 returning user_nid',
)

export const deletePusher = statement<never>('delete a pusher', 'delete from pushers where pusher = $1')

/** Whoever logs in again on a device has to say anew where to push. */
export async function deletePushersOfDevice(db: Db, userNid: number, deviceId: string): Promise<void> {
  await db.deleteFrom('pushers').where('user_nid', '=', userNid).where('device_id', '=', deviceId).execute()
}

/** Parameters: the pusher, the position, the badge. No row: it is gone, or somebody else told it of that already. */
export const savePushed = statement<{ pusher: number }>(
  'save what was pushed',
  `update pushers set position = $2, badge = $3, failures = 0, failing_since = null, retry_at = 0
   where pusher = $1 and position < $2 returning pusher`,
)

export const saveBadge = statement<{ pusher: number }>(
  'save a badge',
  `update pushers set badge = $2, failures = 0, failing_since = null, retry_at = 0 where pusher = $1 returning pusher`,
)

/** Parameters: the pusher, up to where it was told, now, when to try again. */
export const savePushFailure = statement<never>(
  'save a failure to push',
  `update pushers set position = greatest(position, $2), failures = failures + 1,
     failing_since = coalesce(failing_since, $3), retry_at = $4 where pusher = $1`,
)

/** By how much an event `e` counts for the member `u`, by the room's counter and the member's exceptions. */
const counts = `left join lateral (
     select q.notify_index from events q where q.room = e.room and q.timeline < e.timeline
     order by q.timeline desc limit 1) b on true
   left join push_exceptions x on x.user_nid = u.user_nid and x.room = e.room and x.event_nid = e.timeline
   where e.sender <> u.user_nid and e.timeline > u.read_position
     and e.notify_index - coalesce(b.notify_index, 0) + coalesce(x.notify, 0) > 0`

/** Which pushers some events are for, of those in the rooms, and with which event of each room it begins. */
export const pushersToldOf = statement<{ pusher: number; user_nid: number; room: number; first: number }>(
  'pushers told of events',
  `select p.pusher, p.user_nid, e.room, min(e.timeline) as first
   from events e join room_users u on u.room = e.room and u.membership = 1
   join pushers p on p.user_nid = u.user_nid and p.enabled
   ${counts} and e.event_nid = any($1::int8[])
   group by p.pusher, p.user_nid, e.room`,
)

/**
 * The events a user is to be told of, oldest first: those that notify and are not read, and invites.
 *
 * Parameters: the user; after which position and up to which; in which rooms (null: all); how many. `event_nid` is 0 for an
 * invite to a room that this deployment is not in.
 */
export const eventsToPush = statement<{ event_nid: number; room: number; timeline: number }>(
  'events to push',
  `select event_nid, room, timeline from (
     select e.event_nid, e.room, e.timeline from room_users u
     join events e on e.room = u.room and e.timeline > $2 and e.timeline <= $3
     ${counts} and u.user_nid = $1 and u.membership = 1 and ($4::int[] is null or u.room = any($4::int[]))
       and not exists (
         select from event_relations t
         join receipts r on r.room = e.room and r.user_nid = $1 and r.thread_id like '$%'
         join events re on re.event_nid = r.event_nid
         where t.event_nid = e.event_nid and t.relation = 'm.thread' and t.parent = ${rootOfReceipt}
           and re.timeline >= e.timeline)
     union all
     select u.event_nid, u.room, u.since from room_users u
     where u.user_nid = $1 and u.membership = 2 and u.since > $2 and u.since <= $3) as news
   order by timeline limit $5`,
)

/** What is unread of a user: invites, rooms with unread messages, and those messages. */
export const unreadOfUser = statement<{ invites: number; rooms: number; messages: number }>(
  'unread of a user',
  `with unread as (
     select u.membership, r.notify_count - u.read_notify_index + coalesce(x.notify, 0) as notify
     from room_users u join rooms r using (room)
     left join (
       select p.room, sum(p.notify) as notify from push_exceptions p join room_users v using (user_nid, room)
       where p.user_nid = $1 and p.event_nid > v.read_position group by p.room) x using (room)
     where u.user_nid = $1 and u.membership in (1, 2))
   select count(*) filter (where membership = 2)::int as invites,
     count(*) filter (where membership = 1 and notify > 0)::int as rooms,
     coalesce(sum(notify) filter (where membership = 1 and notify > 0), 0)::int as messages
   from unread`,
)

/**
 * The newest events of others in the rooms a user is in, newest first.
 *
 * Parameters: the user, up to which position, how many.
 */
export const recentEventsFor = statement<{ event_nid: number; timeline: number; read: boolean }>(
  'recent events for a user',
  `select e.event_nid, e.timeline, e.timeline <= u.read_position as read from room_users u
   cross join lateral (
     select event_nid, timeline, sender from events where events.room = u.room and events.timeline <= $2
       and events.timeline > u.since order by timeline desc limit $3) e
   where u.user_nid = $1 and u.membership = 1 and e.sender <> $1
   order by e.timeline desc limit $3`,
)
