import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { removeMedia } from '../../media/remove-media.ts'
import { mediaOfUser, mediaOrders, oldMedia, oldRemoteMedia } from '../../storage/admin-media.ts'
import { localAccount } from '../local-account.ts'
import { dir, from, limit, nextToken } from '../schemas.ts'
import { mediaAnswer } from './media-answer.ts'
import { unknownMedia } from './quarantine-media.ts'

const userPath = '/_synapse/admin/v1/users/{userId}/media'
const userQuery = Type.Object({ from, limit, dir, order_by: Type.Optional(Type.String()) })

type UserQuery = { from?: number; limit?: number; dir?: 'f' | 'b'; order_by?: string }

/** Newest first unless asked otherwise. */
async function pageOf(ctx: Pick<Context, 'database'>, userNid: number, query: UserQuery) {
  const { from = 0, limit = 100, order_by: order = 'created_ts' } = query
  if (!Object.hasOwn(mediaOrders, order)) {
    throw new MatrixError('M_INVALID_PARAM', `Media cannot be ordered by ${order}`)
  }
  const isNewestFirst = query.order_by === undefined && query.dir === undefined
  const backwards = isNewestFirst || query.dir === 'b'
  return mediaOfUser(ctx.database.db, userNid, { from, limit, backwards, order: order as keyof typeof mediaOrders })
}

export const listUserMedia = endpoint({
  method: 'get',
  path: userPath,
  auth: 'admin',
  params: { userId: parseUserId },
  query: userQuery,
  async handle(ctx, { params, query }) {
    const account = await localAccount(ctx, params.userId)
    const { media, total } = await pageOf(ctx, account.userNid, query)
    return { media: media.map(mediaAnswer), total, ...nextToken(query.from ?? 0, media.length, total) }
  },
})

/** Deletes the media that the same page of the list shows. */
export const deleteUserMedia = endpoint({
  method: 'delete',
  path: userPath,
  auth: 'admin',
  params: { userId: parseUserId },
  query: userQuery,
  async handle(ctx, { params, query }) {
    const account = await localAccount(ctx, params.userId)
    const { media } = await pageOf(ctx, account.userNid, query)
    return removeAll(ctx, media)
  },
})

export const deleteMedia = endpoint({
  method: 'delete',
  path: '/_synapse/admin/v1/media/{serverName}/{mediaId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    if (!(await removeMedia(ctx, params))) throw unknownMedia()
    return { deleted_media: [params.mediaId], total: 1 }
  },
})

/** The largest moment in seconds that anybody could mean: what is later is milliseconds. */
const longAgo = 30_000_000_000

/** Deletes what was uploaded before a moment and is larger than a size. */
export const deleteOldMedia = endpoint({
  method: 'post',
  path: ['/_synapse/admin/v1/media/delete', '/_synapse/admin/v1/media/{serverName}/delete'],
  auth: 'admin',
  query: Type.Object({
    before_ts: Type.Integer({ minimum: 0 }),
    size_gt: Type.Optional(Type.Integer({ minimum: 0 })),
    keep_profiles: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { params, query }) {
    if (query.before_ts < longAgo) {
      throw new MatrixError('M_INVALID_PARAM', 'before_ts is in milliseconds, and this moment is before 1971')
    }
    if (params.serverName !== '' && !ctx.domains.isLocal(params.serverName)) {
      throw new MatrixError('M_INVALID_PARAM', 'Media of other servers are deleted by purge_media_cache')
    }
    const domains = params.serverName === '' ? ctx.config.server_names : [params.serverName]
    const values = [query.before_ts, query.size_gt ?? 0, domains, query.keep_profiles ?? true]
    const deleted: string[] = []
    for (;;) {
      const { deleted_media: some } = await removeAll(ctx, await ctx.database.read(oldMedia, values))
      if (some.length === 0) return { deleted_media: deleted, total: deleted.length }
      deleted.push(...some)
    }
  },
})

export const purgeMediaCache = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/purge_media_cache',
  auth: 'admin',
  query: Type.Object({ before_ts: Type.Integer({ minimum: 0 }) }),
  async handle(ctx, { query }) {
    if (query.before_ts < longAgo) {
      throw new MatrixError('M_INVALID_PARAM', 'before_ts is in milliseconds, and this moment is before 1971')
    }
    let deleted = 0
    for (;;) {
      const { total } = await removeAll(ctx, await ctx.database.read(oldRemoteMedia, [query.before_ts]))
      if (total === 0) return { deleted }
      deleted += total
    }
  },
})

async function removeAll(
  ctx: Pick<Context, 'database' | 'media'>,
  media: readonly { readonly server_name: string; readonly media_id: string }[],
): Promise<{ deleted_media: string[]; total: number }> {
  const deleted: string[] = []
  for (const { server_name: serverName, media_id: mediaId } of media) {
    if (await removeMedia(ctx, { serverName, mediaId })) deleted.push(mediaId)
  }
  return { deleted_media: deleted, total: deleted.length }
}
