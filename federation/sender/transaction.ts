import type { UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { MAX_TRANSACTION_EDUS, MAX_TRANSACTION_PDUS } from '../../src/matrix/limits.ts'
import { deviceListsForServer, eventsForServer } from '../../src/storage/destinations.ts'
import { outgoingToDeviceFor } from '../../src/storage/outgoing-to-device.ts'
import type { Federation } from '../federation.ts'
import type { Destination } from './destination.ts'
import { deviceListUpdates } from './device-list-updates.ts'

/** What is sent to a server at once. */
export type Transaction = {
  readonly pdus: readonly JsonObject[]
  readonly edus: readonly JsonObject[]
  /** The position up to which the server has everything once it has this. */
  readonly reached: number
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
  const isNew = to.mayHaveNews && upTo > acked
  const span = [acked, upTo, server, origin]
  const [events, lists, messages] = await Promise.all([
    isNew ? ctx.database.read(eventsForServer, span) : [],
    isNew ? ctx.database.read(deviceListsForServer, span) : [],
    to.mayHaveMessages ? ctx.database.read(outgoingToDeviceFor, [origin, server, upTo, mostMessages]) : [],
  ])
  const ends = [
    upTo,
    ...(events.length === MAX_TRANSACTION_PDUS ? [events.at(-1)!.event_nid] : []),
    ...(lists.length === mostLists ? [lists.at(-1)!.position] : []),
  ]
  const reached = Math.min(...ends)
  const within = events.filter(({ event_nid: nid }) => nid <= reached).map(({ event_nid: nid }) => nid)
  const stored = await ctx.events.byNids(within, { edges: true })
  const pdus = stored
    .sort((one, other) => one.nid - other.nid)
    .map(({ event }) => withoutUnsigned(event.pdu as unknown as JsonObject))
  const changed = new Map(lists.map((row): [number, UserId] => [row.user_nid, row.user_id]))
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
    toDevice: messages.at(-1)?.position ?? 0,
    passing: passing.length,
    isFull: reached < upTo || messages.length === mostMessages,
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
