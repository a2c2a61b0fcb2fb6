import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseEventId, parseRoomId, type RoomId } from '../../matrix/ids.ts'
import { redact } from '../../matrix/redaction.ts'
import { firstEventSince, placeOfEvent, pruneEvents, purgeableEvents } from '../../storage/admin-rooms.ts'
import { eventIdBytes, restOf } from '../../storage/event-codec.ts'
import type { RunJob } from '../jobs.ts'
import { knownRoom } from './known-room.ts'

const kind = 'purge history'
/** Events that are taken together. */
const atOnce = 500

/**
 * Forgets what was said in a room before a moment. State stays, and of the rest what a redaction leaves, so that what other
 * servers build on it still holds; it is shown to nobody.
 */
export const purgeHistory = endpoint({
  method: 'post',
  path: ['/_synapse/admin/v1/purge_history/{roomId}', '/_synapse/admin/v1/purge_history/{roomId}/{eventId}'],
  auth: 'admin',
  params: { roomId: parseRoomId },
  body: Type.Object({
    delete_local_events: Type.Optional(Type.Boolean()),
    purge_up_to_event_id: Type.Optional(Type.String()),
    purge_up_to_ts: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { params, body, requester }) {
    const room = await knownRoom(ctx, params.roomId)
    const named = params.eventId !== '' ? params.eventId : body.purge_up_to_event_id
    const before = await positionOf(ctx, room.room, named, body.purge_up_to_ts)
    const parameters = { before, deleteLocal: body.delete_local_events === true }
    return { purge_id: await ctx.jobs.add({ kind, subject: params.roomId, parameters, requestedBy: requester.userId }) }
  },
})

async function positionOf(
  ctx: Pick<Context, 'database'>,
  room: number,
  eventId: string | undefined,
  ts: number | undefined,
): Promise<number> {
  if (eventId !== undefined) {
    const id = parseEventId(eventId)
    const [place] = id ? await ctx.database.read(placeOfEvent, [eventIdBytes(id)]) : []
    if (!place || place.room !== room || place.timeline === null)
      throw new MatrixError('M_NOT_FOUND', 'Event not found')
    return place.timeline
  }
  if (ts === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: purge_up_to_event_id or purge_up_to_ts')
  const [first] = await ctx.database.read(firstEventSince, [room, ts])
  if (first?.timeline == null) throw new MatrixError('M_NOT_FOUND', 'There is no event after that moment')
  return first.timeline
}

export const runPurgeHistory: RunJob = async (ctx, { subject, parameters, result, note, stop }) => {
  const room = await ctx.hotRooms.get(subject as RoomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Room not found')
  let purged = typeof result.purged === 'number' ? result.purged : 0
  while (!stop.aborted) {
    const rows = await ctx.database.read(purgeableEvents, [
      room.room,
      parameters.before,
      parameters.deleteLocal === true,
      atOnce,
    ])
    if (rows.length === 0) break
    const events = await ctx.events.byNids(
      rows.map((row) => row.event_nid),
      { edges: true },
    )
    const pruned = events.map((stored) => redact(stored.event.pdu, room.rules))
    await ctx.database.read(pruneEvents, [
      events.map((stored) => stored.nid),
      pruned.map((pdu) => JSON.stringify(pdu.content)),
      pruned.map((pdu, index) => restOf(pdu, events[index]!.inColumns)),
    ])
    purged += events.length
    await note({ purged })
  }
  // Every process forgets what it remembers of what was said.
  if (!stop.aborted) ctx.invalidations.publish('room', room.roomId)
  return { purged }
}

export const purgeHistoryStatus = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/purge_history_status/{purgeId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const job = await ctx.jobs.find(params.purgeId)
    if (job?.kind !== kind) throw new MatrixError('M_NOT_FOUND', 'There is no such purge')
    const status = job.status === 'scheduled' ? 'active' : job.status
    return { status, ...(job.error !== null && { error: job.error }) }
  },
})
