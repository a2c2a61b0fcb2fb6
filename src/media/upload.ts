import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Query } from '../storage/database.ts'
import {
  awaitedMedia,
  deleteUnusedBlobs,
  fillMedia,
  holdBlob,
  insertAwaitedMedia,
  insertMedia,
  mediaById,
} from '../storage/media.ts'
import { MAX_CONTENT_TYPE_LENGTH, MAX_FILE_NAME_BYTES } from './limits.ts'
import { type MediaName, mxcOf } from './media-ids.ts'

type Engine = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'media'>
type Uploader = { readonly userNid: number; readonly domain: ServerName }

export type Upload = {
  /** A chunk is good until the next one is asked for. */
  readonly content: AsyncIterable<Uint8Array>
  /** Bytes, if the sender said so. */
  readonly length: number | undefined
  readonly contentType: string | undefined
  readonly filename: string | undefined
}

/**
 * Stores content under a new id.
 *
 * Spec: Client-Server API, `POST /_matrix/media/v3/upload` (v1.19).
 *
 * @throws MatrixError M_TOO_LARGE, M_INVALID_PARAM; what the content's source throws.
 */
export async function uploadMedia(ctx: Engine, uploader: Uploader, upload: Upload): Promise<MediaName> {
  const media = newName(ctx, uploader.domain)
  const about = describe(upload)
  await storeContent(ctx, upload, (query, sha256) =>
    insertMedia(query, { ...rowOf(media), uploader: uploader.userNid, created_at: ctx.clock.now(), sha256, ...about }),
  )
  return media
}

/**
 * Makes an id whose content comes later.
 *
 * Spec: Client-Server API, `POST /_matrix/media/v1/create` (v1.19).
 *
 * @throws MatrixError M_LIMIT_EXCEEDED when too many ids of the user are without content.
 */
export async function createMediaId(ctx: Engine, uploader: Uploader): Promise<MediaName & { expiresAt: number }> {
  const media = newName(ctx, uploader.domain)
  const now = ctx.clock.now()
  const expiresAt = now + ctx.config.media.unused_expires_seconds * 1000
  const row = { ...rowOf(media), uploader: uploader.userNid, created_at: now, expires_at: expiresAt }
  const made = await ctx.database.transaction((query) =>
    insertAwaitedMedia(query, row, ctx.config.media.max_pending_uploads),
  )
  if (!made) {
    const [awaited] = await ctx.database.read(awaitedMedia, [uploader.userNid, now])
    throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many of your media are waiting for their upload', {
      extra: { retry_after_ms: Math.max((awaited?.first ?? now) - now, 1000) },
    })
  }
  return { ...media, expiresAt }
}

/**
 * Stores the content of an id that was made before. Whoever waits for it gets it.
 *
 * Spec: Client-Server API, `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}` (v1.19).
 *
 * @throws MatrixError M_NOT_FOUND for an id that was not made or has expired, M_FORBIDDEN for one of somebody else,
 *   M_CANNOT_OVERWRITE_MEDIA, and what `uploadMedia` throws.
 */
export async function uploadToId(ctx: Engine, uploader: Uploader, media: MediaName, upload: Upload): Promise<void> {
  const [row] = await ctx.database.read(mediaById, [media.serverName, media.mediaId])
  if (!row || (row.expires_at ?? Number.POSITIVE_INFINITY) <= ctx.clock.now()) {
    throw new MatrixError('M_NOT_FOUND', 'Unknown media id')
  }
  if (row.uploader !== uploader.userNid) throw new MatrixError('M_FORBIDDEN', 'This media id belongs to somebody else')
  if (row.sha256 !== null) throw taken()
  const about = describe(upload)
  const filled = await storeContent(ctx, upload, (query, sha256) =>
    fillMedia(query, { ...rowOf(media), sha256, ...about }),
  )
  if (!filled) throw taken()
  ctx.media.uploads.arrived(mxcOf(media))
}

/**
 * Takes in content and has `save` record it. The blob is put in place while its row is held, so that it cannot be
 * removed in between.
 *
 * @returns what `save` did.
 */
export async function storeContent(
  ctx: Engine,
  upload: Pick<Upload, 'content' | 'length'>,
  save: (query: Query, sha256: Buffer) => Promise<boolean>,
): Promise<boolean> {
  const limit = ctx.config.media.max_upload_size
  if ((upload.length ?? 0) > limit) throw tooLarge(limit)
  const received = await ctx.media.store.receive(limited(upload.content, limit))
  try {
    return await ctx.database.transaction(async (query) => {
      await holdBlob(query, { sha256: received.hash, size: received.size, now: ctx.clock.now() })
      const saved = await save(query, received.hash)
      if (saved) await received.keep()
      else await deleteUnusedBlobs(query, received.hash)
      return saved
    })
  } finally {
    await received.discard()
  }
}

async function* limited(content: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of content) {
    size += chunk.length
    if (size > limit) throw tooLarge(limit)
    yield chunk
  }
}

function tooLarge(limit: number): MatrixError {
  return new MatrixError('M_TOO_LARGE', `Uploads may have ${limit} bytes`)
}

function taken(): MatrixError {
  return new MatrixError('M_CANNOT_OVERWRITE_MEDIA', 'This media id has its content already')
}

function newName(ctx: Pick<Context, 'random'>, domain: ServerName): MediaName {
  return { serverName: domain, mediaId: ctx.random.token(18) }
}

function rowOf(media: MediaName): { server_name: string; media_id: string } {
  return { server_name: media.serverName, media_id: media.mediaId }
}

/** What is kept of how the sender describes the content. A type that is no header's value is none. */
export function describe(upload: Pick<Upload, 'contentType' | 'filename'>): {
  content_type: string | null
  filename: string | null
} {
  const { contentType, filename } = upload
  if (filename !== undefined && (Buffer.byteLength(filename) > MAX_FILE_NAME_BYTES || !filename.isWellFormed())) {
    throw new MatrixError('M_INVALID_PARAM', 'The file name is not valid')
  }
  const isType = contentType !== undefined && /^[\x20-\x7e]+$/.test(contentType)
  return {
    content_type: isType && contentType.length <= MAX_CONTENT_TYPE_LENGTH ? contentType : null,
    filename: filename === undefined || filename === '' ? null : filename,
  }
}
