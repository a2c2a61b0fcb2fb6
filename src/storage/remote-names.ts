import { operation } from './writer.ts'

/** What a user of another server is called in a room from now on; null: nothing, or they are not in it. */
export const saveRemoteNames = operation<{ user_nid: number; room: number; words: string | null }>(
  'save remote_names',
  { user_nid: 'int4', room: 'int4', words: 'text' },
  `with given as (select r.user_nid, r.room, r.words::tsvector as words from $rows),
     gone as (delete from remote_names n using given g where g.words is null and n.user_nid = g.user_nid and n.room = g.room)
   insert into remote_names (user_nid, room, words) select user_nid, room, words from given where words is not null
   on conflict (user_nid, room) do update set words = excluded.words`,
  (row) => `${row.user_nid} ${row.room}`,
)

/** @param words Letters and digits alone. */
export function nameWords(words: readonly string[]): string | null {
  return words.length === 0 ? null : words.map((word) => `'${word}'`).join(' ')
}
