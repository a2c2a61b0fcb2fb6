import { statement } from './database.ts'

/** Up to where a follower of the whole deployment has come; it begins where the stream is now. */
export const openFollower = statement<{ position: number }>(
  'open a follower of the stream',
  `with opened as (
     insert into stream_followers (name, position) select $1, position from stream
     on conflict do nothing returning position)
   select position from opened union all select position from stream_followers where name = $1`,
)

export const saveFollower = statement<never>(
  'save a follower of the stream',
  'update stream_followers set position = greatest(position, $2) where name = $1',
)
