import { statement } from './database.ts'

/** Up to where a follower of the whole deployment has come; it begins where the stream is now. */
export const openFollower = statement<{ position: number }>(
  'open a follower of the stream',
  `with opened as (
     insert into stream_followers (name, position) select $1, position from stream
     on conflict do nothing returning position)
   select position from opened union all select position from stream_followers where name = $1`,
)

/**
 * How far followers are that keep their position in the database: application services by their id, and those that the whole
 * deployment has one of. The row without a name is the stream itself.
 */
export const followerPositions = statement<{ follower: string | null; position: number; last: number }>(
  'positions of followers',
  // Push notes no position while nobody has a pusher.
  `with stream as (select position as last from stream)
   select null as follower, last as position, last from stream
   union all select name, position, last from stream_followers, stream
     where name <> 'push' or exists (select from pushers)
   union all select 'application service ' || service_id, position, last from application_services, stream
     where service_id = any($1::text[])`,
)

export const saveFollower = statement<never>(
  'save a follower of the stream',
  'update stream_followers set position = greatest(position, $2) where name = $1',
)
