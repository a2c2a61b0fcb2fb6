import type { RoomId, UserId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import type { Tables } from './tables.ts'

/** An event that waits. Times in milliseconds since the epoch, `delay` in milliseconds. */
export type DelayedEventRow = Omit<Tables['delayed_events'], 'is_sending' | 'room_id'> & {
  user_id: UserId
  room_id: RoomId
}

const columns = `delay_id, user_nid, user_id, device_id, request, room_id, type, state_key, content, origin_server_ts,
  sticky_ms, delay, running_since, send_at`

/**
 * Inserts unless the request was made before, or the user has as many as are allowed (`$12`); one row, `delay_id` null
 * for too many.
 */
export const insertDelayedEvent = statement<{ delay_id: string | null }>(
  'insert a delayed event',
  `with known as (
     select delay_id from delayed_events where user_nid = $2 and device_id = $3 and request = $4),
   made as (
     insert into delayed_events (delay_id, user_nid, device_id, request, room_id, type, state_key, content,
       origin_server_ts, delay, running_since, send_at, sticky_ms)
     select $1::text, $2::int, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::int8, $10::int8,
       $11::int8, $11::int8 + $10::int8, $13::int8
     where not exists (select from known) and (select count(*) from delayed_events where user_nid = $2) < $12::int
     on conflict (user_nid, device_id, request) do update set delay = delayed_events.delay
     returning delay_id)
   select coalesce((select delay_id from known), (select delay_id from made)) as delay_id`,
)

export const delayedRequest = statement<{ delay_id: string }>(
  'a delayed event by its request',
  'select delay_id from delayed_events where user_nid = $1 and device_id = $2 and request = $3',
)

export const delayedEventsOf = statement<DelayedEventRow>(
  'delayed events of a user',
  `select ${columns} from delayed_events join users using (user_nid)
   where user_nid = $1 and not is_sending order by send_at`,
)

export const cancelDelayedEvent = statement<{ delay_id: string }>(
  'cancel a delayed event',
  'delete from delayed_events where delay_id = $1 and not is_sending returning delay_id',
)

export const restartDelayedEvent = statement<{ delay_id: string }>(
  'restart a delayed event',
  `update delayed_events set running_since = $2, send_at = $2 + delay where delay_id = $1 and not is_sending
   returning delay_id`,
)

/** Takes an event to be sent: nobody can cancel it from then on. Without a row it is gone. */
export const takeDelayedEvent = statement<DelayedEventRow>(
  'take a delayed event',
  `update delayed_events d set is_sending = true from users u where d.delay_id = $1 and u.user_nid = d.user_nid
   returning ${columns.replace('user_nid', 'd.user_nid')}`,
)

export const dueDelayedEvents = statement<{ delay_id: string }>(
  'due delayed events',
  'select delay_id from delayed_events where send_at <= $1 order by send_at limit 100',
)

export const nextDelayedEvent = statement<{ send_at: number | null }>(
  'the next delayed event',
  'select min(send_at) as send_at from delayed_events',
)

export const deleteDelayedEvent = statement<never>(
  'delete a delayed event',
  'delete from delayed_events where delay_id = $1',
)

/** Somebody else has set these keys of these rooms' states: what was to be set later is out of date. */
export const cancelOvertaken = statement<{ delay_id: string }>(
  'cancel overtaken delayed events',
  `delete from delayed_events d using unnest($1::text[], $2::text[], $3::text[], $4::text[]) as s(room_id, type, state_key, sender)
   where d.room_id = s.room_id and d.type = s.type and d.state_key = s.state_key and not d.is_sending
     and d.user_nid is distinct from (select user_nid from users u where u.user_id = s.sender)
   returning delay_id`,
)
