import type { UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { MAX_TRANSACTION_EDUS, MAX_TRANSACTION_PDUS } from '../../src/matrix/limits.ts'
import { deviceListsForServer, eventsForServer } from '../../src/storage/destinations.ts'
import { outgoingToDeviceFor } from '../../src/storage/outgoing-to-device.ts'
import type { Federation } from '../federation.ts'
import type { Destination, PendingEvent } from './destination.ts'
import { deviceListUpdates } from './device-list-updates.ts'

/** What is sent to a server at once. */
export type Transaction = {
  readonly pdus: readonly JsonObject[]
  readonly edus: readonly JsonObject[]
  /** The position up to which the server has everything once it has this, if it tells of events or device lists at all. */
  readonly reached: number
  readonly isNews: boolean
  /** Up to here its messages to devices are in this; 0 without any. */
  readonly toDevice: number
  /** How many of the passing messages are in this. */
  readonly passing: number
  /** There may be more. */
  readonly isFull: boolean
}

/** The next of what a server lacks, up to a position of the stream. Spec: Server-Server API, "Transactions" (v1.19). */
export async function nextTransaction({ ctx }: Federation, to: Destination, upTo: number): Promise<Transaction> {
  const { origin, server, acked } = to
  const isNews = to.events?.length !== 0 || to.mayHaveLists
  const span = [acked, upTo, server, origin]
  const known = to.events?.slice(0, MAX_TRANSACTION_PDUS)
  const isCut = known !== undefined && known.length < to.events!.length
  const lookedFor = async (): Promise<PendingEvent[]> => {
    const rows = await ctx.database.read(eventsForServer, span)
    return rows.map(({ event_nid: nid }) => ({ nid, position: nid }))
  }
  const [events, lists, messages] = await Promise.all([
    known ?? lookedFor(),
    to.mayHaveLists ? ctx.database.read(deviceListsForServer, span) : [],
    to.mayHaveMessages ? ctx.database.read(outgoingToDeviceFor, [origin, server, upTo, mostMessages]) : [],
  ])
  const ends = [
    upTo,
    ...(isCut || (!known && events.length === MAX_TRANSACTION_PDUS) ? [events.at(-1)!.position] : []),
    ...(lists.length === mostLists ? [lists.at(-1)!.position] : []),
  ]
  const reached = Math.min(...ends)
  const within = events.filter(({ position }) => position <= reached).map(({ nid }) => nid)
  const stored = await ctx.events.byNids(within, { edges: true })
  const pdus = stored
    .sort((one, other) => one.nid - other.nid)
    .map(({ event }) => withoutUnsigned(event.pdu as unknown as JsonObject))
  const told = lists.filter(({ position }) => position <= reached)
  const changed = new Map(told.map((row): [number, UserId] => [row.user_nid, row.user_id]))
  const updates = await deviceListUpdates(ctx, changed, reached)
  const toDevice = messages.map(({ content }) => ({
    edu_type: 'm.direct_to_device',
    content: JSON.parse(content) as JsonObject,
  }))
  const lasting = [...toDevice, ...updates]
  const passing = to.passing.slice(0, Math.max(0, MAX_TRANSACTION_EDUS - lasting.length))
  return {
    pdus,
    edus: [...lasting, ...passing],
    reached,
    isNews,
    toDevice: messages.at(-1)?.position ?? 0,
    passing: passing.length,
    isFull: (isNews && reached < upTo) || messages.length === mostMessages,
  }
}

const mostMessages = 40
/** As the statement has it. */
const mostLists = 25

function withoutUnsigned(pdu: JsonObject): JsonObject {
  if (pdu.unsigned === undefined) return pdu
  const { unsigned: _unsigned, ...rest } = pdu
  return rest
}
