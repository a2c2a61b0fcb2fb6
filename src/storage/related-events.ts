import { statement } from './database.ts'

/**
 * Which of some events other events relate to: from some senders (null: from anybody) and in some way (null: in any), both
 * in one.
 */
export const eventsRelatedTo = statement<{ parent: Buffer }>(
  'events related to',
  `select distinct x.parent from unnest($1::int[], $2::bytea[]) as w(room, parent)
   join event_relations x on x.room = w.room and x.parent = w.parent and ($4::text[] is null or x.relation = any($4))
   join events e using (event_nid) join users u on u.user_nid = x.sender
   where e.redacted_by is null and e.timeline is not null and ($3::text[] is null or u.user_id = any($3))`,
)
