import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId, type RoomId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { Json } from '../../matrix/json.ts'
import { redactEvent } from '../../rooms/redact-event.ts'
import { joinedRoomIds, redactableEvents } from '../../storage/admin-users.ts'
import type { RunJob } from '../jobs.ts'
import { text } from '../schemas.ts'

const kind = 'redact user'
/** Of each room, unless asked otherwise. */
const mostEvents = 1000
/** Events that are looked up together. */
const atOnce = 100

/**
 * Redacts what a user sent, in some rooms or in all that they are in, as the user, or as the administrator for users of
 * other servers and with `use_admin`.
 */
export const redactUser = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/user/{userId}/redact',
  auth: 'admin',
  params: { userId: parseUserId },
  body: Type.Object({
    rooms: Type.Array(text, { maxItems: 10_000 }),
    reason: Type.Optional(text),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    use_admin: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { params, body, requester }) {
    const isAsUser = ctx.domains.isLocal(serverNameOf(params.userId)) && body.use_admin !== true
    const parameters = {
      rooms: body.rooms,
      sender: isAsUser ? params.userId : requester.userId,
      limit: body.limit ?? mostEvents,
      ...(body.reason !== undefined && { reason: body.reason }),
    }
    return {
      redact_id: await ctx.jobs.add({ kind, subject: params.userId, parameters, requestedBy: requester.userId }),
    }
  },
})

export const runRedactUser: RunJob = async (ctx, { subject, parameters, result, note, stop }) => {
  const userId = subject as UserId
  const { sender, limit, reason, rooms } = parameters as { [key: string]: Json } & { sender: UserId; limit: number }
  const users = await ctx.dictionaries.findUsers([userId, sender])
  const [nid, senderNid] = [users.get(userId), users.get(sender)]
  if (nid === undefined || senderNid === undefined) throw new MatrixError('M_NOT_FOUND', 'User not found')
  const named = rooms as RoomId[]
  const where = named.length > 0 ? named : (await ctx.database.read(joinedRoomIds, [nid])).map((row) => row.room_id)
  const failed: { [eventId: string]: string } = Object.assign(Object.create(null), result.failed_redactions)
  for (const roomId of where as RoomId[]) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) continue
    for (let [below, rest] = [Number.MAX_SAFE_INTEGER, limit]; rest > 0; ) {
      const rows = await ctx.database.read(redactableEvents, [room.room, nid, below, Math.min(rest, atOnce)])
      if (rows.length === 0) break
      const events = await ctx.events.byNids(rows.map((row) => row.event_nid))
      for (const { event } of events) {
        if (stop.aborted) return { failed_redactions: failed }
        const redaction = { sender, redacts: event.eventId, ...(typeof reason === 'string' && { reason }) }
        const scope = `redact ${roomId} ${event.eventId}`
        // The same each time, so that what is done again after a crash is no second redaction.
        const transaction = { userNid: senderNid, deviceId: '', scope, txnId: 'administration' }
        await redactEvent(ctx, roomId, redaction, transaction).catch((error: unknown) => {
          if (!(error instanceof MatrixError)) throw error
          failed[event.eventId] = error.message
        })
      }
      await note({ failed_redactions: failed })
      below = rows.at(-1)!.timeline
      rest -= rows.length
    }
  }
  return { failed_redactions: failed }
}

export const redactUserStatus = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/user/redact_status/{redactId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const job = await ctx.jobs.find(params.redactId)
    if (job?.kind !== kind) throw new MatrixError('M_NOT_FOUND', 'There is no such redaction')
    return {
      status: job.status,
      failed_redactions: {},
      ...JSON.parse(job.result),
      ...(job.error !== null && { error: job.error }),
    }
  },
})
