import { Type } from '@sinclair/typebox'
import type { Request, Response } from 'express'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseServerName, type ServerName } from '../../matrix/ids.ts'
import { findMedia } from '../../media/find-media.ts'
import { type MediaName, parseMediaId } from '../../media/media-ids.ts'
import { thumbnail } from '../../media/thumbnail.ts'
import { answerContent } from './content-answer.ts'
import { legacyQuery, refuseLegacy, waitOf, waitQuery } from './media-requests.ts'

const params = { serverName: parseServerName, mediaId: parseMediaId }
const side = Type.Integer({ minimum: 1, maximum: 100_000 })
const size = Type.Object({
  width: side,
  height: side,
  method: Type.Optional(Type.Union([Type.Literal('crop'), Type.Literal('scale')])),
  animated: Type.Optional(Type.Boolean()),
})

/** Spec: Client-Server API, `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}` (v1.19). */
export const getContentThumbnailAuthed = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}',
  auth: 'userOrGuest',
  params,
  query: Type.Composite([waitQuery, size]),
  handle: (ctx, call) =>
    answerThumbnail(ctx, call, {
      allowRemote: true,
      isPublic: false,
      by: call.requester.userId,
    }),
})

/** Spec: Client-Server API, `GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}`, deprecated (v1.19). */
export const getContentThumbnail = endpoint({
  method: 'get',
  path: [
    '/_matrix/media/v3/thumbnail/{serverName}/{mediaId}',
    '/_matrix/media/r0/thumbnail/{serverName}/{mediaId}',
    '/_matrix/media/v1/thumbnail/{serverName}/{mediaId}',
  ],
  auth: 'none',
  params,
  query: Type.Composite([legacyQuery, size]),
  handle(ctx, call) {
    refuseLegacy(ctx)
    return answerThumbnail(ctx, call, {
      allowRemote: call.query.allow_remote !== false,
      isPublic: true,
      by: call.address,
    })
  },
})

type Call = {
  readonly params: MediaName
  readonly query: {
    readonly width: number
    readonly height: number
    readonly method?: 'crop' | 'scale'
    readonly animated?: boolean
    readonly timeout_ms?: number
  }
  readonly domain: ServerName
  readonly request: Request
  readonly response: Response
}

async function answerThumbnail(
  ctx: Context,
  { params, query, domain, request, response }: Call,
  options: { allowRemote: boolean; isPublic: boolean; by: string },
): Promise<undefined> {
  const media = await findMedia(ctx, params, { ...options, asker: domain, ...waitOf(query, response) })
  const image = await thumbnail(ctx, media, {
    width: query.width,
    height: query.height,
    method: query.method ?? 'scale',
    animated: query.animated === true,
    isRemote: !ctx.domains.isLocal(params.serverName),
  })
  return await answerContent(ctx.media.store, request, response, {
    ...image,
    filename: `thumbnail.${extensions.get(image.contentType)}`,
    isPublic: options.isPublic,
  })
}

const extensions: ReadonlyMap<string, string> = new Map([
  ['image/jpeg', 'jpg'],
  ['image/png', 'png'],
  ['image/gif', 'gif'],
  ['image/webp', 'webp'],
])
