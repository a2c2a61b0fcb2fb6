import type { UserId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import { insertInto } from './operation.ts'

/** What users of ours changed in their profiles (MSC4429). */

export const saveProfileChanges = insertInto<{ user_nid: number; field: string; position: number }>(
  'profile_changes',
  { user_nid: 'int4', field: 'text', position: 'int8' },
  {
    tail: 'on conflict (user_nid, field) do update set position = excluded.position',
    key: (row) => `${row.user_nid} ${row.field}`,
  },
)

export const profileChangesOfSpan = statement<{ user_nid: number; field: string; position: number }>(
  'profile changes of a span',
  'select user_nid, field, position from profile_changes where position > $1 and position <= $2',
)

/**
 * Changes of fields by the reader and by who shares a room with the reader. Parameters: the reader, after and up to which
 * position, the fields.
 */
export const profileChangesFor = statement<{ user_id: UserId; field: string; fields: string }>(
  'profile changes for a user',
  `select u.user_id, c.field, coalesce(p.fields, '{}') as fields
   from profile_changes c join users u using (user_nid) left join profiles p using (user_nid)
   where c.position > $2 and c.position <= $3 and c.field = any($4::text[]) and (c.user_nid = $1 or exists (
     select 1 from room_users mine join room_users theirs on theirs.room = mine.room and theirs.membership = 1
     where mine.user_nid = $1 and mine.membership = 1 and theirs.user_nid = c.user_nid))`,
)

/** Profiles of the members of rooms, and of further users. */
export const profilesOfMembers = statement<{ user_id: UserId; fields: string }>(
  'profiles of members',
  `select u.user_id, p.fields from profiles p join users u using (user_nid)
   where p.user_nid = any($2::int[])
     or p.user_nid in (select user_nid from room_users where room = any($1::int[]) and membership = 1)`,
)
