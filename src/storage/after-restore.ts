import type { Database } from './database.ts'

/**
 * Positions that are left out: more than can have been used between the back-up and the loss, at a thousand a second for a day.
 */
const leap = 100_000_000

/** What a database that was restored gave up so that nothing is used twice. */
export type MovedOn = { readonly position: number; readonly oneTimeKeys: number }

/**
 * Makes a restored database go on behind everything that was given out since its back-up. Without it positions would be given out
 * again: clients with a later token would miss what has them, and other servers would take transactions for ones they have had. And
 * one-time keys would be handed out that somebody has used: they are deleted, and devices upload new ones.
 *
 * Pushes of before are not sent. Application services are told what is left for them.
 *
 * @throws Error while a server runs on the database.
 */
export function moveOnAfterRestore(database: Pick<Database, 'transaction'>): Promise<MovedOn> {
  return database.transaction(async (query) => {
    const [lock] = await query<{ taken: boolean }>(
      `select pg_try_advisory_xact_lock(hashtextextended('chappe owns push', 0)) as taken`,
      [],
    )
    if (!lock!.taken) throw new Error('a server runs on this database: stop all of its processes first')
    const [stream] = await query<{ position: number }>(
      'update stream set position = position + $1 returning position',
      [leap],
    )
    const { position } = stream!
    await query('update stream_followers set position = $1', [position])
    await query(
      `update application_services s set position = $1
       where pending is null and not exists (select from events e where e.timeline > s.position)`,
      [position],
    )
    const deleted = await query('delete from one_time_keys returning 1', [])
    return { position, oneTimeKeys: deleted.length }
  })
}
