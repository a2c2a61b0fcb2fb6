import type { Request, Response } from 'express'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseServerName, type ServerName } from '../../matrix/ids.ts'
import { findMedia } from '../../media/find-media.ts'
import { type MediaName, parseMediaId } from '../../media/media-ids.ts'
import { answerContent } from './content-answer.ts'
import { legacyQuery, refuseLegacy, waitOf, waitQuery } from './media-requests.ts'

const params = { serverName: parseServerName, mediaId: parseMediaId }

/**
 * Spec: Client-Server API, `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}` and
 * `…/{mediaId}/{fileName}` (v1.19).
 */
export const getContentAuthed = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v1/media/download/{serverName}/{mediaId}',
    '/_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}',
  ],
  auth: 'userOrGuest',
  params,
  query: waitQuery,
  handle: (ctx, call) =>
    download(ctx, call, {
      allowRemote: true,
      isPublic: false,
      by: call.requester.userId,
    }),
})

/**
 * Spec: Client-Server API, `GET /_matrix/media/v3/download/{serverName}/{mediaId}` and `…/{mediaId}/{fileName}`,
 * deprecated (v1.19).
 */
export const getContent = endpoint({
  method: 'get',
  path: [
    '/_matrix/media/v3/download/{serverName}/{mediaId}',
    '/_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}',
    '/_matrix/media/r0/download/{serverName}/{mediaId}',
    '/_matrix/media/r0/download/{serverName}/{mediaId}/{fileName}',
    '/_matrix/media/v1/download/{serverName}/{mediaId}',
    '/_matrix/media/v1/download/{serverName}/{mediaId}/{fileName}',
  ],
  auth: 'none',
  params,
  query: legacyQuery,
  handle(ctx, call) {
    refuseLegacy(ctx)
    return download(ctx, call, {
      allowRemote: call.query.allow_remote !== false,
      isPublic: true,
      by: call.address,
    })
  },
})

type Call = {
  readonly params: MediaName & { readonly fileName: string }
  readonly query: { readonly timeout_ms?: number }
  readonly domain: ServerName
  readonly request: Request
  readonly response: Response
}

async function download(
  ctx: Context,
  { params, query, domain, request, response }: Call,
  options: { allowRemote: boolean; isPublic: boolean; by: string },
): Promise<undefined> {
  const media = await findMedia(ctx, params, { ...options, asker: domain, ...waitOf(query, response) })
  return await answerContent(ctx.media.store, request, response, {
    ...media,
    contentType: media.contentType ?? 'application/octet-stream',
    filename: params.fileName === '' ? media.filename : params.fileName,
    isPublic: options.isPublic,
  })
}
