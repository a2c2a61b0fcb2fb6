import { statement } from './database.ts'

/** Where devices meet to sign one of them in (MSC4108, MSC4388). */

export type RendezvousRow = {
  data: Buffer
  sequence_token: string
  modified_at: number
  expires_at: number
}

const columns = 'data, sequence_token, modified_at, expires_at'

/**
 * Begins a session, and forgets those that are over. Parameters: the id, data, token, now, when it expires, how many there
 * may be.
 */
export const insertRendezvous = statement<RendezvousRow>(
  'insert rendezvous',
  `with expired as (delete from rendezvous_sessions where expires_at <= $4)
   insert into rendezvous_sessions (id, data, sequence_token, modified_at, expires_at)
   select $1, $2, $3, $4, $5
   where (select count(*) from rendezvous_sessions where expires_at > $4) < $6 returning ${columns}`,
)

/** Parameters: the id, now. */
export const rendezvous = statement<RendezvousRow>(
  'rendezvous',
  `select ${columns} from rendezvous_sessions where id = $1 and expires_at > $2`,
)

/** Writes where nobody wrote since the given token. Parameters: the id, now, that token, data, the next token. */
export const updateRendezvous = statement<RendezvousRow>(
  'update rendezvous',
  `update rendezvous_sessions set data = $4, sequence_token = $5, modified_at = $2
   where id = $1 and expires_at > $2 and sequence_token = $3 returning ${columns}`,
)

export const deleteRendezvous = statement<{ id: string }>(
  'delete rendezvous',
  'delete from rendezvous_sessions where id = $1 and expires_at > $2 returning id',
)
