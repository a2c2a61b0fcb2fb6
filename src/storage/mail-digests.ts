import type { UserId } from '../matrix/ids.ts'
import { statement } from './database.ts'

export type DigestRow = {
  pusher: number
  since: number
  due_at: number
  /** A JSON array, as text. */
  items: string
  failures: number
  user_nid: number
  user_id: UserId
  /** The address. */
  pushkey: string
  lang: string
  enabled: boolean
}

/**
 * Parameters: the pusher, now, when the mail is to be sent if nothing waits for it yet, what there is to tell as JSON, how many
 * bytes may wait: what is more is not told one by one.
 */
export const addToDigest = statement<never>(
  'add to a mail digest',
  `insert into mail_digests as d (pusher, since, due_at, items) values ($1, $2, $3, '[' || $4 || ']')
   on conflict (pusher) do update set items = left(d.items, -1) || ',' || $4 || ']'
     where octet_length(d.items) + octet_length($4) < $5::int`,
)

/** The one that is to be sent first. */
export const nextDigest = statement<DigestRow>(
  'next mail digest',
  `select pusher, since, due_at, items, d.failures, p.user_nid, user_id, pushkey, lang, enabled
   from mail_digests d join pushers p using (pusher) join users using (user_nid) order by due_at limit 1`,
)

/** Parameters: the pusher, what was told. No row: more has come meanwhile. */
export const deleteDigest = statement<{ pusher: number }>(
  'delete a mail digest',
  'delete from mail_digests where pusher = $1 and items = $2 returning pusher',
)

/** Parameters: the pusher, when it is to be sent, by how much it has failed more often. */
export const delayDigest = statement<never>(
  'delay a mail digest',
  'update mail_digests set due_at = $2, failures = failures + $3::int where pusher = $1',
)

/** Parameters: the pusher, and the token it has from now on unless it has one. */
export const unsubscribeToken = statement<{ token: string }>(
  'unsubscribe token',
  `update pushers set unsubscribe_token = coalesce(unsubscribe_token, $2) where pusher = $1
   returning unsubscribe_token as token`,
)

export const pusherByToken = statement<{ pusher: number }>(
  'pusher by its token',
  'select pusher from pushers where unsubscribe_token = $1',
)

export const deletePusherByToken = statement<{ user_nid: number }>(
  'delete a pusher by its token',
  'delete from pushers where unsubscribe_token = $1 returning user_nid',
)

/** Of some rooms those with something unread for a user, and how much; an invite is one. */
export const unreadRooms = statement<{ room: number; count: number }>(
  'unread rooms of a user',
  `select room, count::int from (
     select u.room, case u.membership when 2 then 1 else r.notify_count - u.read_notify_index + coalesce((
         select sum(p.notify) from push_exceptions p
         where p.user_nid = u.user_nid and p.room = u.room and p.event_nid > u.read_position), 0) end as count
     from room_users u join rooms r using (room)
     where u.user_nid = $1 and u.room = any($2::int[]) and u.membership in (1, 2)) as unread
   where count > 0 order by count desc, room`,
)
