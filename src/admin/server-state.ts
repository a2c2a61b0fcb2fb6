import { Type } from '@sinclair/typebox'
import { endpoint } from '../http/endpoint.ts'
import { MatrixError } from '../matrix/errors.ts'
import { allJobs } from '../storage/admin-jobs.ts'
import { mediaStatisticOrders, mediaStatistics } from '../storage/admin-media.ts'
import { largestRooms, measuredShare } from '../storage/admin-rooms.ts'
import { dir, from, limit, nextToken, text } from './schemas.ts'
import { serverVersion } from './server-version.ts'

export const getServerVersion = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/server_version',
  auth: 'admin',
  handle: () => ({ server_version: serverVersion }),
})

/** Media by user; the largest amounts first when ordered by them. */
export const userMediaStatistics = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/statistics/users/media',
  auth: 'admin',
  query: Type.Object({
    from,
    limit,
    dir,
    order_by: Type.Optional(Type.String()),
    search_term: Type.Optional(text),
    from_ts: Type.Optional(Type.Integer({ minimum: 0 })),
    until_ts: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { query }) {
    const { from = 0, limit = 100, order_by: order = 'user_id' } = query
    if (!Object.hasOwn(mediaStatisticOrders, order)) {
      throw new MatrixError('M_INVALID_PARAM', `Users cannot be ordered by ${order}`)
    }
    const { users, total } = await mediaStatistics(
      ctx.database.db,
      { search: query.search_term, since: query.from_ts, until: query.until_ts },
      { from, limit, backwards: query.dir === 'b', order: order as keyof typeof mediaStatisticOrders },
    )
    return { users, total, ...nextToken(from, users.length, total) }
  },
})

export const largestRoomStatistics = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/statistics/database/rooms',
  auth: 'admin',
  async handle(ctx) {
    const [row] = await ctx.database.read(measuredShare, [])
    return { rooms: await ctx.database.read(largestRooms, [row!.share]) }
  },
})

/** A release changes the database before it starts, so nothing is left to be done beside the work. */
export const backgroundUpdatesStatus = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/background_updates/status',
  auth: 'admin',
  handle: () => ({ enabled: true, current_updates: {} }),
})
const enabledPath = '/_synapse/admin/v1/background_updates/enabled'
export const backgroundUpdatesEnabled = endpoint({
  method: 'get',
  path: enabledPath,
  auth: 'admin',
  handle: () => ({ enabled: true }),
})
export const enableBackgroundUpdates = endpoint({
  method: 'post',
  path: enabledPath,
  auth: 'admin',
  body: Type.Object({ enabled: Type.Boolean() }),
  handle: () => ({ enabled: true }),
})
export const startBackgroundUpdate = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/background_updates/start_job',
  auth: 'admin',
  body: Type.Object({ job_name: Type.String() }),
  handle() {
    throw new MatrixError('M_INVALID_PARAM', 'There are no such jobs here')
  },
})

const mostJobs = 1000

export const scheduledTasks = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/scheduled_tasks',
  auth: 'admin',
  query: Type.Object({
    action_name: Type.Optional(Type.String()),
    resource_id: Type.Optional(Type.String()),
    job_status: Type.Optional(Type.String()),
    max_timestamp: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { query }) {
    const jobs = await ctx.database.read(allJobs, [mostJobs])
    const tasks = jobs.filter(
      (job) =>
        (query.action_name === undefined || job.kind === query.action_name) &&
        (query.resource_id === undefined || job.subject === query.resource_id) &&
        (query.job_status === undefined || job.status === query.job_status) &&
        (query.max_timestamp === undefined || job.created_at <= query.max_timestamp),
    )
    return {
      scheduled_tasks: tasks.map((job) => ({
        id: job.job_id,
        action: job.kind,
        status: job.status,
        timestamp_ms: job.ended_at ?? job.created_at,
        resource_id: job.subject,
        result: JSON.parse(job.result),
        error: job.error,
      })),
    }
  },
})
