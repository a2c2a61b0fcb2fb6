import pg from 'pg'
import { type EventId, serverNameOf, type UserId } from '../src/matrix/ids.ts'
import { decodeEdges, eventIdBytes, eventIdText } from '../src/storage/event-codec.ts'
import { EventFlags } from '../src/storage/events.ts'
import { membershipOf } from '../src/storage/room-users.ts'
import type { Deployment } from './deployment.fixtures.ts'

type Query = <T>(sql: string, values: readonly unknown[]) => Promise<T[]>
type Row = { event_nid: number; room: number; timeline: string | null; flags: number; edges: Buffer | null }

/** What each of some servers has an event as, what it has of what is around it, and who of the sender's server is in the room there. */
export async function whereaboutsOf(
  servers: readonly Deployment[],
  eventId: EventId,
  roomId: string,
  sender: UserId,
): Promise<string> {
  const lines = await Promise.all(
    servers.map((server) => inDatabase(server, (client) => whereabouts(client, server, eventId, roomId, sender))),
  )
  return [eventId, ...lines].join('\n    ')
}

export async function inDatabase<T>(server: Deployment, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.database.url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** The event of somebody's membership as a server has it. */
export function membershipAt(server: Deployment, { roomId }: { roomId: string }, userId: UserId) {
  return inDatabase(server, async (client): Promise<EventId | undefined> => {
    const { rows } = await client.query(
      `select e.event_id from room_users join users using (user_nid) join rooms using (room) join events e using (event_nid)
       where room_id = $1 and user_id = $2`,
      [roomId, userId],
    )
    return rows[0] && eventIdText(rows[0].event_id, 'v4')
  })
}

async function whereabouts(
  client: pg.Client,
  { name }: Deployment,
  eventId: EventId,
  roomId: string,
  sender: UserId,
): Promise<string> {
  const id = eventIdBytes(eventId)
  const query: Query = async (sql, values) => (await client.query(sql, [...values])).rows
  const columns = 'event_nid::int, room, timeline, flags, edges'
  const [event] = await query<Row>(`select ${columns} from events where event_id = $1`, [id])
  const staged = await query<{ origin: string; tries: number }>(
    'select origin, tries from staged_events where event_id = $1',
    [id],
  )
  const awaiting = await query<{ referenced_by: number }>(
    'select referenced_by::int from missing_events where event_id = $1',
    [id],
  )
  const own = await query<{ user_id: UserId; membership: number; since: string }>(
    `select u.user_id, m.membership, m.since from room_users m join users u using (user_nid) join rooms r using (room)
     where r.room_id = $1 and u.user_id like $2`,
    [roomId, `%:${serverNameOf(sender)}`],
  )
  const members = own.map((row) => `${row.user_id} ${membershipOf(row.membership)} since ${row.since}`)
  const around = event ? await aroundOf(query, event) : []
  const parts = [
    event ? stored(event) : 'unknown',
    ...staged.map(({ origin, tries }) => `staged, from ${origin}, ${tries} tries`),
    ...awaiting.map((row) => `missing before ${row.referenced_by}`),
    ...around,
    `members ${members.join(', ') || 'none'}`,
  ]
  return `${name}: ${parts.join('; ')}`
}

function stored({ event_nid: nid, timeline, flags }: Pick<Row, 'event_nid' | 'timeline' | 'flags'>): string {
  const names = Object.entries(EventFlags).flatMap(([name, flag]) => ((flags & flag) !== 0 ? name : []))
  return `${nid}${timeline === null ? ' without a place' : ` at ${timeline}`} ${names.join('+')}`
}

/** Its predecessors and followers, with what they are. */
async function aroundOf(query: Query, event: Row): Promise<string[]> {
  const rows = await query<Row>('select event_nid::int, room, timeline, flags, edges from events where room = $1', [
    event.room,
  ])
  const prevOf = ({ event_nid: nid, edges }: Row): readonly number[] => (edges ? decodeEdges(nid, edges).prev : [])
  const before = new Set(prevOf(event))
  const named = (some: readonly Row[]): string => some.map(stored).join(', ') || 'nothing'
  return [
    `after ${named(rows.filter((row) => before.has(row.event_nid)))}`,
    `followed by ${named(rows.filter((row) => prevOf(row).includes(event.event_nid)))}`,
  ]
}
