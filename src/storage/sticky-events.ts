import { statement } from './database.ts'
import { insertInto } from './operation.ts'

/** Events that are told to every client in the room while they last (MSC4354). */

export const insertStickyEvents = insertInto<{ event_nid: number; room: number; expires_at: number }>(
  'sticky_events',
  { event_nid: 'int8', room: 'int4', expires_at: 'int8' },
  { tail: 'on conflict do nothing' },
)

/** Those that last, in the order of the timeline. */
export const lastingStickyEvents = statement<{ event_nid: number; room: number; position: number; expires_at: number }>(
  'lasting sticky events',
  `select s.event_nid, s.room, e.timeline as position, s.expires_at from sticky_events s join events e using (event_nid)
   where s.expires_at > $1 and e.timeline > 0 order by e.timeline`,
)

export const deleteStickyEvents = statement<never>(
  'delete sticky events',
  'delete from sticky_events where expires_at <= $1',
)
