import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, parseUserId } from '../../matrix/ids.ts'
import {
  listedMedia,
  mediaInRoom,
  protectMedia as protect,
  quarantineById,
  quarantineMany,
  quarantineOfUser,
} from '../../storage/admin-media.ts'
import { localAccount } from '../local-account.ts'
import { knownRoom } from '../rooms/known-room.ts'
import { mediaAnswer } from './media-answer.ts'

export const getMediaInfo = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/media/{serverName}/{mediaId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const [media] = await ctx.database.read(listedMedia, [params.serverName, params.mediaId])
    if (!media) throw unknownMedia()
    const origin = ctx.domains.isLocal(media.server_name) ? null : media.server_name
    return { media_info: { media_origin: origin, user_id: media.uploader, ...mediaAnswer(media) } }
  },
})

/**
 * Media out of use are served to nobody, as if there were none, and stay for those who look into the matter. So are all others
 * with the same content, also those that are uploaded later, unless they are protected.
 */
export const quarantineMedia = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/media/quarantine/{serverName}/{mediaId}',
  auth: 'admin',
  async handle(ctx, { params, requester }) {
    const rows = await ctx.database.read(quarantineById, [params.serverName, params.mediaId, requester.userId])
    return { num_quarantined: rows.length }
  },
})

export const unquarantineMedia = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/media/unquarantine/{serverName}/{mediaId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    await ctx.database.read(quarantineById, [params.serverName, params.mediaId, null])
    return {}
  },
})

export const quarantineUserMedia = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/user/{userId}/media/quarantine',
  auth: 'admin',
  params: { userId: parseUserId },
  async handle(ctx, { params, requester }) {
    const account = await localAccount(ctx, params.userId)
    return { num_quarantined: (await ctx.database.read(quarantineOfUser, [account.userNid, requester.userId])).length }
  },
})

/** Events of a room that are read together. */
const eventsAtOnce = 2000

/** What the events of a room name, some events at a time. What is encrypted names its media to its readers only. */
async function* mediaOf(ctx: Pick<Context, 'database'>, room: number): AsyncGenerator<string[]> {
  for (let after = -Number.MAX_SAFE_INTEGER; ; ) {
    const [row] = await ctx.database.read(mediaInRoom, [room, after, eventsAtOnce])
    if (row?.reached == null) return
    yield row.uris ?? []
    after = row.reached
  }
}

type Uri = { readonly serverName: string; readonly mediaId: string }

function uriOf(text: string): Uri {
  const [, serverName, mediaId] = /^mxc:\/\/([^/]+)\/(.+)$/.exec(text)!
  return { serverName: serverName!, mediaId: mediaId! }
}

export const quarantineRoomMedia = endpoint({
  method: 'post',
  path: ['/_synapse/admin/v1/room/{roomId}/media/quarantine', '/_synapse/admin/v1/quarantine_media/{roomId}'],
  auth: 'admin',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    const { room } = await knownRoom(ctx, params.roomId)
    let count = 0
    for await (const texts of mediaOf(ctx, room)) {
      const uris = texts.map(uriOf)
      const values = [uris.map((uri) => uri.serverName), uris.map((uri) => uri.mediaId), requester.userId]
      count += (await ctx.database.read(quarantineMany, values)).length
    }
    return { num_quarantined: count }
  },
})

/** As many as a tool can show. */
const mostListed = 10_000

export const listRoomMedia = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/room/{roomId}/media',
  auth: 'admin',
  params: { roomId: parseRoomId },
  async handle(ctx, { params }) {
    const { room } = await knownRoom(ctx, params.roomId)
    const found = new Set<string>()
    for await (const texts of mediaOf(ctx, room)) {
      for (const uri of texts) if (found.size < mostListed) found.add(uri)
      if (found.size >= mostListed) break
    }
    const uris = [...found]
    const isLocal = (uri: string) => ctx.domains.isLocal(uriOf(uri).serverName)
    return { local: uris.filter(isLocal), remote: uris.filter((uri) => !isLocal(uri)) }
  },
})

/** Media ids alone are of the administrator's own domain. */
function protectEndpoint(action: 'protect' | 'unprotect') {
  return endpoint({
    method: 'post',
    path: `/_synapse/admin/v1/media/${action}/{mediaId}`,
    auth: 'admin',
    body: Type.Object({}),
    async handle(ctx, { params, domain }) {
      const { mediaId } = params as { mediaId: string }
      const [row] = await ctx.database.read(protect, [domain, mediaId, action === 'protect'])
      if (!row) throw unknownMedia()
      return {}
    },
  })
}
export const protectMedia = protectEndpoint('protect')
export const unprotectMedia = protectEndpoint('unprotect')

export function unknownMedia(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'Media not found')
}
