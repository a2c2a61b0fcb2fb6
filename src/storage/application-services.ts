import type { RoomAlias, UserId } from '../matrix/ids.ts'
import { statement } from './database.ts'

/** How far an application service has been told. */
export type ServiceStateRow = {
  service_id: string
  position: number
  last_transaction: number
  /** JSON text of the body. */
  pending: string | null
  failures: number
  retry_at: number
}

const columns = 'service_id, position, last_transaction, pending, failures, retry_at'

/** A service that is new is told what happens from now on. */
export const openService = statement<ServiceStateRow>(
  'open an application service',
  `with opened as (
     insert into application_services (service_id, position) select $1, position from stream
     on conflict do nothing returning ${columns})
   select ${columns} from opened union all select ${columns} from application_services where service_id = $1`,
)

/**
 * Fixes the next transaction. Parameters: the service, up to where it tells, its body, the id of the one before. No row:
 * another process did.
 */
export const saveTransaction = statement<{ last_transaction: number }>(
  'save a transaction of an application service',
  `update application_services set position = $2, pending = $3, last_transaction = last_transaction + 1
   where service_id = $1 and last_transaction = $4 and pending is null returning last_transaction`,
)

export const saveAcknowledged = statement<{ last_transaction: number }>(
  'save an acknowledged transaction',
  `update application_services set pending = null, failures = 0, retry_at = 0
   where service_id = $1 and last_transaction = $2 and pending is not null returning last_transaction`,
)

export const saveServiceFailure = statement<never>(
  'save a failure of an application service',
  'update application_services set failures = failures + 1, retry_at = $2 where service_id = $1',
)

/** Nothing up to here is of interest. */
export const saveServicePosition = statement<never>(
  'save the position of an application service',
  'update application_services set position = greatest(position, $2) where service_id = $1 and pending is null',
)

/** Who of the given domains is in a room. */
export const localMembersOf = statement<{ user_nid: number; user_id: UserId }>(
  'local members of a room',
  `select user_nid, user_id from room_users join users using (user_nid)
   where room = $1 and membership = 1 and substr(user_id, position(':' in user_id) + 1) = any($2::text[])`,
)

export const aliasesOfRoom = statement<{ alias: RoomAlias }>(
  'aliases of a room, for services',
  'select alias from room_aliases where room = $1',
)

/** The devices of users with counts of their keys: a row for each algorithm, one without for who has no keys. */
export const keyCountsOfUsers = statement<{
  user_id: UserId
  device_id: string
  algorithm: string | null
  unclaimed: number
  unused_fallback: boolean
}>(
  'key counts of users',
  `select u.user_id, d.device_id, k.algorithm, coalesce(sum(k.unclaimed), 0)::int4 as unclaimed,
     coalesce(bool_or(k.unused_fallback), false) as unused_fallback
   from users u join devices d using (user_nid)
   left join (
     select user_nid, device_id, algorithm, count(*) as unclaimed, false as unused_fallback from one_time_keys
     where user_nid = any($1::int[]) group by user_nid, device_id, algorithm
     union all
     select user_nid, device_id, algorithm, 0, not used from fallback_keys where user_nid = any($1::int[])
   ) k using (user_nid, device_id)
   where u.user_nid = any($1::int[]) group by u.user_id, d.device_id, k.algorithm`,
)

export const publishInNetwork = statement<never>(
  'list a room of a network',
  'insert into network_rooms (service_id, network_id, room) values ($1, $2, $3) on conflict do nothing',
)

export const withdrawFromNetwork = statement<never>(
  'withdraw a room of a network',
  'delete from network_rooms where service_id = $1 and network_id = $2 and room = $3',
)
