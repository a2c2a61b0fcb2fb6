import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { type JobRow, jobsAbout } from '../../storage/admin-jobs.ts'
import { retiredNumbers } from '../../storage/purge-room.ts'
import type { RunJob } from '../jobs.ts'
import { localAccount } from '../local-account.ts'
import { text } from '../schemas.ts'
import { type ShutDown, type ShutDownResult, shutDownJson, shutDownOf, shutDownRoom } from './shut-down-room.ts'

const kind = 'delete room'
const params = { roomId: parseRoomId }
const body = Type.Object({
  new_room_user_id: Type.Optional(Type.String({ maxLength: 255, pattern: '^@[^\\u0000:]*:[^\\u0000]+$' })),
  room_name: Type.Optional(text),
  message: Type.Optional(Type.String({ maxLength: 10_000 })),
  block: Type.Optional(Type.Boolean()),
  purge: Type.Optional(Type.Boolean()),
  force_purge: Type.Optional(Type.Boolean()),
})

/** Answers when everything is done. */
export const deleteRoomNow = endpoint({
  method: 'delete',
  path: '/_synapse/admin/v1/rooms/{roomId}',
  auth: 'admin',
  params,
  body,
  async handle(ctx, { params, body, requester }) {
    const wish = shutDownOf(params.roomId, requester.userId, body)
    await refuseImpossible(ctx, wish)
    return shutDownRoom(ctx, wish)
  },
})

/** Answers at once; the rest is a job. */
export const deleteRoom = endpoint({
  method: 'delete',
  path: '/_synapse/admin/v2/rooms/{roomId}',
  auth: 'admin',
  params,
  body,
  async handle(ctx, { params, body, requester }) {
    const wish = shutDownOf(params.roomId, requester.userId, body)
    await refuseImpossible(ctx, wish)
    const running = await ctx.database.read(jobsAbout, [kind, params.roomId])
    if (running.some((job) => job.ended_at === null)) {
      throw new MatrixError('M_UNKNOWN', 'The room is being deleted already', { status: 400 })
    }
    const job = { kind, subject: params.roomId, parameters: shutDownJson(wish), requestedBy: requester.userId }
    return { delete_id: await ctx.jobs.add(job) }
  },
})

async function refuseImpossible(ctx: Parameters<RunJob>[0], wish: ShutDown): Promise<void> {
  if (wish.newRoom) await localAccount(ctx, wish.newRoom.creator)
  if (wish.block || (await ctx.hotRooms.get(wish.roomId))) return
  // What an earlier deletion has left is a reason, too.
  if (!wish.purge || (await ctx.database.read(retiredNumbers, [wish.roomId])).length === 0) {
    throw new MatrixError('M_NOT_FOUND', 'Room not found')
  }
}

export const runDeleteRoom: RunJob = (ctx, { parameters, result, note, stop }) =>
  shutDownRoom(ctx, parameters as unknown as ShutDown, result as Partial<ShutDownResult>, note, stop)

export const deleteStatusByRoom = endpoint({
  method: 'get',
  path: '/_synapse/admin/v2/rooms/{roomId}/delete_status',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const jobs = await ctx.database.read(jobsAbout, [kind, params.roomId])
    if (jobs.length === 0) throw new MatrixError('M_NOT_FOUND', 'Nobody asked for the room to be deleted')
    return { results: jobs.map((job) => ({ delete_id: job.job_id, ...statusOf(job) })) }
  },
})

export const deleteStatusById = endpoint({
  method: 'get',
  path: '/_synapse/admin/v2/rooms/delete_status/{deleteId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const job = await ctx.jobs.find(params.deleteId)
    if (job?.kind !== kind) throw new MatrixError('M_NOT_FOUND', 'There is no such deletion')
    return statusOf(job)
  },
})

function statusOf(job: JobRow) {
  const result = JSON.parse(job.result) as Partial<ShutDownResult>
  const isPurging = job.status === 'active' && result.local_aliases !== undefined
  return {
    status: job.status === 'active' ? (isPurging ? 'purging' : 'shutting_down') : job.status,
    shutdown_room: {
      kicked_users: [],
      failed_to_kick_users: [],
      local_aliases: [],
      new_room_id: null,
      ...result,
    },
    ...(job.error !== null && { error: job.error }),
  }
}
