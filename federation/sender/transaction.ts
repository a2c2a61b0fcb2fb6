import type { ServerName, UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { MAX_PREV_EVENTS, MAX_TRANSACTION_EDUS, MAX_TRANSACTION_PDUS } from '../../src/matrix/limits.ts'
import { deviceListsForServer, eventsForServer } from '../../src/storage/destinations.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import { outgoingToDeviceFor } from '../../src/storage/outgoing-to-device.ts'
import type { Federation } from '../federation.ts'
import { prunedForServer } from '../server/room-access.ts'
import type { Destination, PendingEvent } from './destination.ts'
import { deviceListUpdates } from './device-list-updates.ts'
import { type Missed, nextOfMissed } from './missed.ts'
import { edusOf, type PassingNews } from './passing.ts'

/** What is sent to a server at once. */
export type Transaction = {
  readonly pdus: readonly JsonObject[]
  readonly edus: readonly JsonObject[]
  /** The position up to which the server has everything once it has this, if it tells of events or device lists at all. */
  readonly reached: number
  readonly isNews: boolean
  /** How many of the events that the server lacks are in this, and the number of the last; 0 without any. */
  readonly told: number
  readonly lastEvent: number
  /** Up to here its messages to devices are in this; 0 without any. */
  readonly toDevice: number
  /** What the server has still missed once it has this. */
  readonly missed: Missed | undefined
  /** What of the passing news is in this. */
  readonly passing: readonly PassingNews[]
  /** There may be more. */
  readonly isFull: boolean
}

/** The next of what a server lacks, up to a position of the stream. Spec: Server-Server API, "Transactions" (v1.19). */
export async function nextTransaction(federation: Federation, to: Destination, upTo: number): Promise<Transaction> {
  const { ctx } = federation
  const { origin, server, acked } = to
  const isNews = to.events?.length !== 0 || to.mayHaveLists
  const span = [acked, upTo, server, origin]
  // Where something was missed, that has a share in every transaction.
  const mostEvents = MAX_TRANSACTION_PDUS - (to.missed ? MAX_PREV_EVENTS : 0)
  const lookedFor = async (): Promise<PendingEvent[]> => {
    const rows = await ctx.database.read(eventsForServer, [...span, mostEvents + 1])
    return rows.map(({ event_nid: nid, position }) => ({ nid, position, isEarlier: position > nid }))
  }
  const [pending, lists, messages] = await Promise.all([
    to.events ?? lookedFor(),
    to.mayHaveLists ? ctx.database.read(deviceListsForServer, span) : [],
    to.mayHaveMessages ? ctx.database.read(outgoingToDeviceFor, [origin, server, upTo, mostMessages]) : [],
  ])
  const events = pending.slice(0, mostEvents)
  // Several may be told at one position, which is not reached before the last of them.
  const next = pending[mostEvents]
  const reached = Math.min(
    upTo,
    next === undefined ? upTo : Math.min(events.at(-1)!.position, next.position - 1),
    lists.length === mostLists ? lists.at(-1)!.position : upTo,
  )
  const isCut = next !== undefined && events.at(-1)!.position === next.position
  const within = isCut && to.events ? events : events.filter(({ position }) => position <= reached)
  const told = lists.filter(({ position }) => position <= reached)
  const missed = await nextOfMissed(federation, to, {
    events: MAX_TRANSACTION_PDUS - within.length,
    // A user's list and its cross-signing keys are an EDU each.
    lists: Math.floor((MAX_TRANSACTION_EDUS - messages.length) / 2) - told.length,
  })
  const changed = new Map([...missed.lists, ...told.map((row): [number, UserId] => [row.user_nid, row.user_id])])
  const toDevice = messages.map(({ content }) => ({
    edu_type: 'm.direct_to_device',
    content: JSON.parse(content) as JsonObject,
  }))
  const lasting = [...toDevice, ...(await deviceListUpdates(ctx, changed, reached))]
  const passing = to.passing.first(Math.max(0, MAX_TRANSACTION_EDUS - lasting.length))
  return {
    pdus: await pdusOf(federation, server, [...missed.events.map((nid) => ({ nid })), ...within]),
    edus: [...lasting, ...edusOf(passing)],
    reached,
    isNews,
    told: within.length,
    lastEvent: within.at(-1)?.nid ?? 0,
    missed: missed.left,
    toDevice: messages.at(-1)?.position ?? 0,
    passing,
    isFull: (isNews && reached < upTo) || messages.length === mostMessages,
  }
}

const mostMessages = 40
/** As the statement has it. */
const mostLists = 25

type Told = Pick<PendingEvent, 'nid' | 'isEarlier'>

/** In the order in which they came to be known here, each once. */
async function pdusOf(federation: Federation, server: ServerName, told: readonly Told[]): Promise<JsonObject[]> {
  const earlier = new Set(told.flatMap(({ nid, isEarlier }) => (isEarlier ? nid : [])))
  const stored = await federation.ctx.events.byNids([...new Set(told.map(({ nid }) => nid))], { edges: true })
  const byRoom = Map.groupBy(stored, ({ room }) => room)
  const events = await Promise.all(
    [...byRoom].map(([room, ofRoom]) => toldOfRoom(federation, server, room, ofRoom, earlier)),
  )
  return events
    .flat()
    .sort((one, other) => one.nid - other.nid)
    .map(({ event }) => withoutUnsigned(event.pdu as unknown as JsonObject))
}

/** What was there before the server came in is told as it may see it; nothing of a room that has been deleted meanwhile. */
async function toldOfRoom(
  federation: Federation,
  server: ServerName,
  number: number,
  events: readonly StoredEvent[],
  earlier: ReadonlySet<number>,
): Promise<StoredEvent[]> {
  const room = await federation.ctx.hotRooms.getByNid(number)
  if (!room) return []
  const isEarlier = ({ nid }: StoredEvent): boolean => earlier.has(nid)
  const pruned = await prunedForServer(federation, room, server, events.filter(isEarlier))
  return [...events.filter((event) => !isEarlier(event)), ...pruned]
}

function withoutUnsigned(pdu: JsonObject): JsonObject {
  if (pdu.unsigned === undefined) return pdu
  const { unsigned: _unsigned, ...rest } = pdu
  return rest
}
