import { Type } from '@sinclair/typebox'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { sendChunks } from '../../src/http/send-chunks.ts'
import { contentDisposition } from '../../src/media/content-disposition.ts'
import { findMedia } from '../../src/media/find-media.ts'
import { DEFAULT_WAIT_MS } from '../../src/media/limits.ts'
import { parseMediaId } from '../../src/media/media-ids.ts'
import { thumbnail } from '../../src/media/thumbnail.ts'
import type { Federation } from '../federation.ts'
import { type FederationCall, federationEndpoint } from './federation-endpoint.ts'

const params = { mediaId: parseMediaId }
const waitQuery = Type.Object({ timeout_ms: Type.Optional(Type.Integer({ minimum: 0 })) })
const side = Type.Integer({ minimum: 1, maximum: 100_000 })
const size = Type.Object({
  width: side,
  height: side,
  method: Type.Optional(Type.Union([Type.Literal('crop'), Type.Literal('scale')])),
  animated: Type.Optional(Type.Boolean()),
})

/** Spec: Server-Server API, "Content Repository" (v1.19). A domain serves its own media alone. */
export function mediaOperations(federation: Federation): Endpoint[] {
  const { ctx } = federation
  const find = (call: FederationCall) =>
    findMedia(
      ctx,
      { serverName: call.destination, mediaId: call.params.mediaId! },
      { allowRemote: false, by: call.origin, asker: call.destination, ...waitOf(call) },
    )
  return [
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/media/download/{mediaId}',
      params,
      query: waitQuery,
      async handle(call) {
        const { contentType = 'application/octet-stream', ...media } = await find(call)
        return answerParts(federation, call, { ...media, contentType })
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/media/thumbnail/{mediaId}',
      params,
      query: Type.Composite([waitQuery, size]),
      async handle(call) {
        const asked = call.query as { width: number; height: number; method?: 'crop' | 'scale'; animated?: boolean }
        const image = await thumbnail(ctx, await find(call), {
          width: asked.width,
          height: asked.height,
          method: asked.method ?? 'scale',
          animated: asked.animated === true,
          isRemote: false,
        })
        return answerParts(federation, call, { ...image, filename: undefined })
      },
    }),
  ]
}

/** A server that went away waits no more. */
function waitOf({ query, response }: FederationCall): { timeout: number; signal: AbortSignal } {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return { timeout: (query.timeout_ms as number | undefined) ?? DEFAULT_WAIT_MS, signal: gone.signal }
}

type Content = {
  readonly hash: Buffer
  readonly size: number
  readonly contentType: string
  readonly filename: string | undefined
}

/** Two parts, RFC 2046: what there is to say of the media, which is nothing yet, and the media. */
async function answerParts({ ctx }: Federation, { response }: FederationCall, content: Content): Promise<undefined> {
  const boundary = ctx.random.token(24)
  const head = Buffer.from(
    `--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\n` +
      `Content-Type: ${content.contentType}\r\n` +
      `Content-Disposition: ${contentDisposition(content.contentType, content.filename)}\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const body = content.size === 0 ? undefined : await ctx.media.store.read(content.hash)
  response.writeHead(200, {
    'Content-Type': `multipart/mixed; boundary=${boundary}`,
    'Content-Length': head.length + content.size + tail.length,
  })
  await sendChunks(response, parts(head, body, tail))
}

async function* parts(
  head: Buffer,
  body: AsyncIterable<Uint8Array> | undefined,
  tail: Buffer,
): AsyncGenerator<Uint8Array> {
  yield head
  if (body) yield* body
  yield tail
}
