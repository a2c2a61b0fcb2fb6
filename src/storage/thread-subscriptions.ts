import type { RoomId, UserId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import type { EventIdFormat } from './event-codec.ts'
import { insertInto } from './operation.ts'
import type { Tables } from './tables.ts'

/** Which threads users are subscribed to (MSC4306). */

export type ThreadSubscriptionRow = Tables['thread_subscriptions']

/** What the user asked for stays so when a device asks for the same by itself a moment later. */
export const saveThreadSubscriptions = insertInto<ThreadSubscriptionRow>(
  'thread_subscriptions',
  {
    user_nid: 'int4',
    room: 'int4',
    event_nid: 'int8',
    subscribed: 'bool',
    automatic: 'bool',
    position: 'int8',
  },
  {
    tail: `on conflict (event_nid, user_nid) do update set subscribed = excluded.subscribed, position = excluded.position,
      automatic = excluded.automatic and (thread_subscriptions.automatic or not thread_subscriptions.subscribed)`,
    key: (row) => `${row.event_nid} ${row.user_nid}`,
  },
)

export const oneThreadSubscription = statement<Pick<ThreadSubscriptionRow, 'subscribed' | 'automatic' | 'position'>>(
  'thread subscription',
  'select subscribed, automatic, position from thread_subscriptions where event_nid = $1 and user_nid = $2',
)

/** Who is subscribed to a thread. Parameters: the room, the id of the root. */
export const subscribersOfThread = statement<{ user_nid: number; user_id: UserId }>(
  'subscribers of a thread',
  `select t.user_nid, u.user_id from events e
   join thread_subscriptions t on t.event_nid = e.event_nid and t.subscribed
   join users u on u.user_nid = t.user_nid
   where e.room = $1 and e.event_id = $2`,
)

/** Of some threads those that a user is subscribed to. Parameters: the user, ids of roots. */
export const subscribedAmongThreads = statement<{ room: number; event_id: Buffer }>(
  'subscribed threads among some',
  `select e.room, e.event_id from events e
   join thread_subscriptions t on t.event_nid = e.event_nid and t.subscribed and t.user_nid = $1
   where e.event_id = any($2::bytea[])`,
)

export type ThreadChangeRow = {
  position: number
  room_id: RoomId
  event_id: Buffer
  event_format: EventIdFormat
  subscribed: boolean
  automatic: boolean
}

/**
 * Changes of a user's subscriptions, the latest first. Parameters: the user, after and up to which position, how many.
 */
export const threadChanges = statement<ThreadChangeRow>(
  'thread subscription changes',
  `select t.position, r.room_id, e.event_id, t.subscribed, t.automatic,
     case when r.room_version in ('1', '2') then 'v1' when r.room_version = '3' then 'v3' else 'v4' end as event_format
   from thread_subscriptions t join events e using (event_nid) join rooms r on r.room = t.room
   where t.user_nid = $1 and t.position > $2 and t.position <= $3
   order by t.position desc limit $4`,
)

export const threadChangesOfSpan = statement<
  Omit<ThreadChangeRow, 'room_id' | 'automatic'> & { user_nid: number; user_id: UserId; room: number }
>(
  'thread subscription changes of a span',
  `select t.position, t.user_nid, u.user_id, t.room, e.event_id, t.subscribed,
     case when r.room_version in ('1', '2') then 'v1' when r.room_version = '3' then 'v3' else 'v4' end as event_format
   from thread_subscriptions t join events e using (event_nid) join rooms r on r.room = t.room
   join users u on u.user_nid = t.user_nid
   where t.position > $1 and t.position <= $2`,
)
