import type { Context } from '../../src/context.ts'
import { type ServerName, serverNameOf } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { MAX_TRANSACTION_EDUS, MAX_TRANSACTION_PDUS } from '../../src/matrix/limits.ts'
import type { Database } from '../../src/storage/database.ts'
import { statement } from '../../src/storage/database.ts'
import type { Fact } from '../../src/storage/stream.ts'
import type { Federation } from '../federation.ts'

/** Tells other servers what happened here. */
export type Sender = {
  /** Resolves once what was under way has ended. */
  close(): Promise<void>
}

const serversOfRoom = statement<{ server: ServerName }>(
  'servers of a room',
  `select distinct substr(user_id, position(':' in user_id) + 1) as server from room_users join users using (user_nid)
   where room = $1 and membership = 1`,
)
const serversSharingRooms = statement<{ server: ServerName }>(
  'servers sharing rooms with a user',
  `select distinct substr(u.user_id, position(':' in u.user_id) + 1) as server
   from room_users mine join room_users ru on ru.room = mine.room and ru.membership = 1
   join users u on u.user_nid = ru.user_nid where mine.user_nid = $1 and mine.membership = 1`,
)
/** Ours, and those we vouch for, in rooms the server is in or about its users. In the order of the stream. */
const eventsForServer = statement<{ event_nid: number }>(
  'events for a server',
  `select e.event_nid from events e join users s on s.user_nid = e.sender join event_kinds k using (kind)
   where e.event_nid > $1 and e.event_nid <= $2 and e.timeline is not null
     and (substr(s.user_id, position(':' in s.user_id) + 1) = any($4::text[])
       or exists (select from relayed_events r where r.event_id = e.event_id)
         and substr(s.user_id, position(':' in s.user_id) + 1) <> $3)
     and (exists (select from room_users ru join users u on u.user_nid = ru.user_nid
         where ru.room = e.room and ru.membership = 1 and substr(u.user_id, position(':' in u.user_id) + 1) = $3)
       or k.type = 'm.room.member' and substr(k.state_key, position(':' in k.state_key) + 1) = $3)
   order by e.event_nid limit ${MAX_TRANSACTION_PDUS}`,
)
const allDestinations = statement<DestinationRow>(
  'destinations',
  'select server_name, acked_position, failures, retry_at from destinations',
)
const saveDestination = statement<never>(
  'save destination',
  `insert into destinations (server_name, acked_position, failures, retry_at) values ($1, $2, $3, $4)
   on conflict (server_name) do update set acked_position = excluded.acked_position, failures = excluded.failures,
     retry_at = excluded.retry_at`,
)

type DestinationRow = { server_name: ServerName; acked_position: number; failures: number; retry_at: number }

/** Milliseconds before the first new attempt; doubled by each failure. */
const firstRetry = 2_000
const longestRetry = 24 * 3_600_000
/** Of messages that are not worth keeping longer than that. */
const mostQueuedEdus = 1_000

class Destination {
  readonly server: ServerName
  acked: number
  failures: number
  retryAt: number
  /** Whether there may be events after `acked`. */
  mayHaveNews: boolean
  edus: JsonObject[] = []
  running: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined

  constructor(row: DestinationRow, mayHaveNews: boolean) {
    this.server = row.server_name
    this.acked = row.acked_position
    this.failures = row.failures
    this.retryAt = row.retry_at
    this.mayHaveNews = mayHaveNews
  }
}

/**
 * Follows the stream. Nothing is written when an event is sent: what a server lacks is what came after the position it
 * acknowledged. @TODO one owner for each destination among several processes; presence, messages to devices.
 *
 * Spec: Server-Server API, "Transactions" (v1.19).
 */
export function createSender(federation: Federation): Sender {
  const { ctx, allowList } = federation
  const destinations = new Map<ServerName, Destination>()
  const stop = new AbortController()

  const isRemote = (server: ServerName): boolean => !ctx.domains.isLocal(server) && allowList.allows(server)

  const wake = (server: ServerName, position: number, edu?: JsonObject): void => {
    let to = destinations.get(server)
    if (!to) {
      const row = { server_name: server, acked_position: position - 1, failures: 0, retry_at: 0 }
      destinations.set(server, (to = new Destination(row, false)))
    }
    if (edu) {
      if (to.edus.length < mostQueuedEdus) to.edus.push(edu)
    } else {
      if (!to.mayHaveNews) to.acked = Math.max(to.acked, position - 1)
      to.mayHaveNews = true
    }
    run(to)
  }

  const run = (to: Destination): void => {
    if (to.running || to.timer || stop.signal.aborted) return
    const wait = to.retryAt - ctx.clock.now()
    if (wait > 0) {
      to.timer = setTimeout(() => {
        to.timer = undefined
        run(to)
      }, wait)
      to.timer.unref()
      return
    }
    to.running = sendAll(federation, to, stop.signal)
      .catch((error: unknown) => ctx.log.warn({ err: error, server: to.server }, 'A server could not be told'))
      .finally(() => {
        to.running = undefined
        if (to.mayHaveNews || to.edus.length > 0) run(to)
      })
  }

  const follow = async (fact: Fact): Promise<void> => {
    if (fact.kind === 'event') {
      const { pdu } = fact.stored.event
      const servers = new Set((await ctx.database.read(serversOfRoom, [fact.stored.room])).map(({ server }) => server))
      if (pdu.type === 'm.room.member' && pdu.state_key?.startsWith('@')) {
        servers.add(serverNameOf(pdu.state_key as `@${string}`))
      }
      for (const server of servers) if (isRemote(server)) wake(server, fact.position)
    } else if (fact.kind === 'receipt' && fact.receiptType === 'm.read') {
      const userId = (await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!
      const room = await ctx.hotRooms.getByNid(fact.room)
      if (!room || !ctx.domains.isLocal(serverNameOf(userId))) return
      const data = { ts: fact.ts, ...(fact.threadId !== '' && { thread_id: fact.threadId }) }
      const receipt = { [userId]: { event_ids: [fact.eventId], data } }
      const edu = { edu_type: 'm.receipt', content: { [room.roomId]: { 'm.read': receipt } } }
      for (const { server } of await ctx.database.read(serversOfRoom, [fact.room])) {
        if (isRemote(server)) wake(server, fact.position, edu)
      }
    } else if (fact.kind === 'deviceList' && fact.readerNid === undefined) {
      const userId = (await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!
      if (!ctx.domains.isLocal(serverNameOf(userId))) return
      const content = { user_id: userId, device_id: '', stream_id: fact.position, prev_id: [], deleted: false }
      for (const { server } of await ctx.database.read(serversSharingRooms, [fact.userNid])) {
        if (isRemote(server)) wake(server, fact.position, { edu_type: 'm.device_list_update', content })
      }
    }
  }

  // Facts are taken one after the other, so that a later one never overtakes.
  let following: Promise<void> = ctx.database.read(allDestinations, []).then((rows) => {
    for (const row of rows) {
      if (!isRemote(row.server_name)) continue
      const to = new Destination(row, true)
      destinations.set(row.server_name, to)
      run(to)
    }
  })
  ctx.stream.follow((facts) => {
    if (stop.signal.aborted) return
    const isAbout = (fact: Fact): boolean =>
      fact.kind === 'event' || fact.kind === 'deviceList' || (fact.kind === 'receipt' && fact.receiptType === 'm.read')
    for (const fact of facts.filter(isAbout)) {
      following = following
        .then(() => follow(fact))
        .catch((error: unknown) => ctx.log.warn({ err: error }, 'Other servers are not told yet'))
    }
  })

  return {
    async close() {
      stop.abort()
      await following
      for (const { timer } of destinations.values()) clearTimeout(timer)
      await Promise.all([...destinations.values()].map(({ running }) => running))
    },
  }
}

/** Sends until nothing is left, or the server does not take it. */
async function sendAll(federation: Federation, to: Destination, stop: AbortSignal): Promise<void> {
  const { ctx } = federation
  while (!stop.aborted && (to.mayHaveNews || to.edus.length > 0)) {
    const upTo = ctx.stream.position
    const nids = to.mayHaveNews ? await newsFor(ctx, to, upTo) : []
    const isFull = nids.length === MAX_TRANSACTION_PDUS
    const reached = isFull ? nids.at(-1)! : upTo
    const edus = to.edus.slice(0, MAX_TRANSACTION_EDUS)
    if (nids.length > 0 || edus.length > 0) {
      if (!(await sendOne(federation, to, nids, edus))) return
      to.edus = to.edus.slice(edus.length)
    }
    to.acked = Math.max(to.acked, reached)
    if (!isFull && ctx.stream.position === upTo) to.mayHaveNews = false
    to.failures = 0
    to.retryAt = 0
    await save(ctx.database, to)
  }
}

async function newsFor(ctx: Pick<Context, 'database' | 'domains'>, to: Destination, upTo: number): Promise<number[]> {
  const rows = await ctx.database.read(eventsForServer, [to.acked, upTo, to.server, ctx.domains.all])
  return rows.map((row) => row.event_nid)
}

async function sendOne(
  { ctx, client }: Federation,
  to: Destination,
  nids: readonly number[],
  edus: readonly JsonObject[],
): Promise<boolean> {
  const events = await ctx.events.byNids(nids, { edges: true })
  const pdus = events.sort((one, other) => one.nid - other.nid).map(({ event }) => event.pdu as unknown as JsonObject)
  // The same events under the same id again, so that what arrived before is answered and not done twice.
  const txnId =
    edus.length > 0 || pdus.length === 0 ? ctx.random.token(12) : `${to.acked}-${nids.at(-1)}-${nids.length}`
  const origin = ctx.domains.default
  const body = { origin, origin_server_ts: ctx.clock.now(), pdus, edus }
  try {
    const uri = `/_matrix/federation/v1/send/${txnId}`
    await client.send(to.server, { method: 'PUT', uri, body, origin, timeout: 60_000 })
    return true
  } catch {
    to.failures++
    to.retryAt = ctx.clock.now() + Math.min(firstRetry * 2 ** Math.min(to.failures - 1, 20), longestRetry)
    await save(ctx.database, to)
    return false
  }
}

async function save(database: Pick<Database, 'read'>, to: Destination): Promise<void> {
  await database.read(saveDestination, [to.server, to.acked, to.failures, to.retryAt])
}
