import type { Request, Response } from 'express'
import { setCommonHeaders } from '../../http/response.ts'
import { sendChunks } from '../../http/send-chunks.ts'
import { contentDisposition } from '../../media/content-disposition.ts'
import type { ByteRange, MediaStore } from '../../media/media-store.ts'
import { rangeOf } from './range.ts'

/**
 * On top of every answer's: whatever the content is, no browser runs anything of it, no other site is kept from showing
 * it, no search engine lists it.
 *
 * Spec: Client-Server API, "Content repository" (v1.19).
 */
const headers: readonly (readonly [string, string])[] = [
  [
    'Content-Security-Policy',
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; " +
      "media-src 'self'; object-src 'self'; frame-ancestors 'none'",
  ],
  ['Cross-Origin-Resource-Policy', 'cross-origin'],
  ['X-Robots-Tag', 'noindex, nofollow, noarchive, noimageindex'],
  ['Accept-Ranges', 'bytes'],
]

export type Content = {
  readonly hash: Buffer
  readonly size: number
  readonly contentType: string
  readonly filename: string | undefined
  /** Whether caches between server and client may keep it. */
  readonly isPublic: boolean
}

/** Streams content, or the part of it that was asked for, or says that the client has it already. */
export async function answerContent(
  store: MediaStore,
  request: Request,
  response: Response,
  content: Content,
): Promise<undefined> {
  const etag = `"${content.hash.toString('base64url')}"`
  setCommonHeaders(response)
  for (const [name, value] of headers) response.setHeader(name, value)
  // What an id means never changes.
  response.setHeader('Cache-Control', `${content.isPublic ? 'public' : 'private'}, max-age=31536000, immutable`)
  response.setHeader('ETag', etag)
  if (isKnown(request.headers['if-none-match'], etag)) {
    response.writeHead(304).end()
    return
  }
  response.setHeader('Content-Type', content.contentType)
  response.setHeader('Content-Disposition', contentDisposition(content.contentType, content.filename))
  const range = rangeOf(request.headers, content.size, etag)
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'Content-Range': `bytes */${content.size}`, 'Content-Length': 0 }).end()
    return
  }
  await send(store, request, response, content, range)
}

async function send(
  store: MediaStore,
  request: Request,
  response: Response,
  content: Content,
  range: ByteRange | undefined,
): Promise<void> {
  const body = request.method === 'HEAD' || content.size === 0 ? undefined : await store.read(content.hash, range)
  if (range === undefined) response.writeHead(200, { 'Content-Length': content.size })
  else {
    const { start, end } = range
    response.writeHead(206, {
      'Content-Length': end - start + 1,
      'Content-Range': `bytes ${start}-${end}/${content.size}`,
    })
  }
  if (body === undefined) response.end()
  else await sendChunks(response, body)
}

function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)
}
