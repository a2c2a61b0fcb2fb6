import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseRoomId, type RoomId, type ServerName, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { MAX_TRANSACTION_EDUS, MAX_TRANSACTION_PDUS } from '../../src/matrix/limits.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { isPassing, statement } from '../../src/storage/database.ts'
import type { Federation } from '../federation.ts'
import { isAllowedByAcl } from '../server-acl.ts'
import { checkPdu } from './check-pdu.ts'
import { acceptUnasked } from './policy-check.ts'
import { deviceListChanged, receiveEdu } from './receive-edu.ts'
import { receiveElsewhere } from './receive-elsewhere.ts'
import type { StagedEvents } from './staged-events.ts'

const selectAnswer = statement<{ answer: string }>(
  'answer to a transaction',
  'select answer from incoming_transactions where origin = $1 and txn_id = $2',
)
const insertAnswer = statement<never>(
  'insert answer to a transaction',
  `insert into incoming_transactions (origin, txn_id, answer, received_at) values ($1, $2, $3, $4)
   on conflict do nothing`,
)

/** Receives transactions, each once. */
export function createReceiver(
  federation: Federation,
  staged: StagedEvents,
): (origin: ServerName, txnId: string, body: JsonObject) => Promise<JsonObject> {
  const underWay = new Map<string, Promise<JsonObject>>()
  return (origin, txnId, body) => {
    const key = `${origin} ${txnId}`
    let running = underWay.get(key)
    if (!running) {
      running = receiveOnce(federation, staged, origin, txnId, body).finally(() => underWay.delete(key))
      underWay.set(key, running)
    }
    return running
  }
}

async function receiveOnce(
  federation: Federation,
  staged: StagedEvents,
  origin: ServerName,
  txnId: string,
  body: JsonObject,
): Promise<JsonObject> {
  const { database, clock, log } = federation.ctx
  const [pdus, edus] = [listOf(body.pdus), listOf(body.edus)]
  if (pdus.length > MAX_TRANSACTION_PDUS || edus.length > MAX_TRANSACTION_EDUS) {
    throw new MatrixError('M_BAD_JSON', 'Too many events in one transaction')
  }
  const [before] = await database.read(selectAnswer, [origin, txnId])
  if (before) return JSON.parse(before.answer) as JsonObject
  const answer = { pdus: await receivePdus(federation, staged, origin, pdus) }
  const refused = Object.values(answer.pdus).filter((result) => (result as JsonObject).error !== undefined).length
  federation.metrics.received({ accepted: pdus.length - refused, refused }, edus.length)
  const changed = new Set<UserId>()
  for (const edu of edus) {
    await receiveEdu(federation, origin, edu, changed).catch((error: unknown) => {
      // Then the transaction comes again: a message to a device must not be lost.
      if (isPassing(error)) throw error
      log.warn({ err: error }, 'An EDU was dropped')
    })
  }
  for (const userId of changed) await deviceListChanged(federation, userId)
  await database.read(insertAnswer, [origin, txnId, JSON.stringify(answer), clock.now()])
  return answer
}

function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new MatrixError('M_BAD_JSON', 'Not a list of events')
  return value as readonly Json[]
}

/** Rooms do not wait for one another; within a room the order is kept. No server is asked for what is missing meanwhile. */
async function receivePdus(
  federation: Federation,
  staged: StagedEvents,
  origin: ServerName,
  pdus: readonly Json[],
): Promise<JsonObject> {
  const byRoom = new Map<RoomId, Json[]>()
  for (const pdu of pdus) {
    const roomId = roomIdOf(pdu)
    if (roomId !== undefined) byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), pdu])
  }
  const results = new Map<string, JsonObject>()
  await Promise.all(
    [...byRoom].map(([roomId, list]) => receiveInRoom(federation, staged, origin, roomId, list, results)),
  )
  return Object.fromEntries(results)
}

function roomIdOf(pdu: Json): RoomId | undefined {
  if (typeof pdu !== 'object' || pdu === null || Array.isArray(pdu)) return undefined
  const roomId = (pdu as JsonObject).room_id
  return typeof roomId === 'string' ? parseRoomId(roomId) : undefined
}

async function receiveInRoom(
  federation: Federation,
  staged: StagedEvents,
  origin: ServerName,
  roomId: RoomId,
  pdus: readonly Json[],
  results: Map<string, JsonObject>,
): Promise<void> {
  await federation.joining.ended(roomId)
  const room = await federation.ctx.hotRooms.get(roomId)
  // Without the room its version is not known, and so not even the ids of its events.
  if (!room) return
  if ((await localMember(federation.ctx, room)) === undefined) {
    await receiveElsewhere(federation, room, pdus)
    return
  }
  const isAllowed = isAllowedByAcl(room, origin)
  const good: RoomEvent[] = []
  for (const checked of await Promise.all(pdus.map((pdu) => checkPdu(federation, pdu, roomId, room.rules)))) {
    const error = checked.error ?? (isAllowed ? undefined : 'The server is banned from this room')
    if (checked.event) results.set(checked.event.eventId, error === undefined ? {} : { error })
    if (error === undefined) good.push(checked.event!)
  }
  if (good.length > 0) await receiveGood(federation, staged, origin, room, good, results)
}

/** What cannot be judged or stored at once is kept: it is not refused, and nobody sends it again. */
async function receiveGood(
  federation: Federation,
  staged: StagedEvents,
  origin: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
  results: Map<string, JsonObject>,
): Promise<void> {
  const { roomId } = room
  const outcomes = await acceptUnasked(federation, room, events).catch((error: unknown) => {
    federation.ctx.log.warn({ err: error, roomId }, 'Events of a room could not be taken in at once')
    return undefined
  })
  const waiting = events.filter((event, index) => {
    const outcome = outcomes?.[index]
    // Judged without all members, it may be judged again.
    if (outcome?.outcome === 'rejected' && !room.partialState) results.set(event.eventId, { error: outcome.reason })
    return outcome === undefined || outcome.outcome === 'missing' || outcome.outcome === 'failed'
  })
  if (waiting.length > 0) await staged.stage(room, origin, waiting)
  if (waiting.length < events.length) staged.cameInto(roomId)
}
