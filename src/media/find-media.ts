import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import { insertMedia, type MediaRow, mediaById } from '../storage/media.ts'
import { MAX_REMOTE_FETCHES, MAX_WAIT_MS } from './limits.ts'
import { type MediaName, mxcOf } from './media-ids.ts'
import { describe, storeContent } from './upload.ts'

type Engine = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'domains' | 'closing' | 'media' | 'rateLimits'>

/** Media whose content is here. */
export type StoredMedia = {
  /** SHA-256. */
  readonly hash: Buffer
  /** Bytes. */
  readonly size: number
  readonly contentType: string | undefined
  readonly filename: string | undefined
}

/**
 * Finds media, waiting for an upload or fetching from another server where need be.
 *
 * @param options `asker`: the domain of ours that other servers are asked by; `by`: who wants them, whom it costs; `timeout`
 *   in milliseconds; `signal` ends the wait.
 * @throws MatrixError M_NOT_FOUND; M_NOT_YET_UPLOADED when the content has not come in time; M_TOO_LARGE (502) for
 *   another server's; M_LIMIT_EXCEEDED for who has had too much fetched.
 */
export async function findMedia(
  ctx: Engine,
  media: MediaName,
  options: {
    readonly allowRemote: boolean
    readonly asker: ServerName
    readonly by: string
    readonly timeout: number
    readonly signal: AbortSignal
  },
): Promise<StoredMedia> {
  const timeout = Math.min(options.timeout, MAX_WAIT_MS)
  const found = await load(ctx, media)
  if (ctx.domains.isLocal(media.serverName)) return found ?? awaited(ctx, media, timeout, options.signal)
  if (found) return found
  if (!options.allowRemote || !(await fetchRemote(ctx, media, options, timeout))) throw notFound()
  return (await load(ctx, media)) ?? Promise.reject(notFound())
}

async function awaited(ctx: Engine, media: MediaName, timeout: number, signal: AbortSignal): Promise<StoredMedia> {
  const ended = AbortSignal.any([signal, ctx.closing, AbortSignal.timeout(timeout)])
  for (;;) {
    // What arrives between the look and the wait must wake it.
    const wait = ctx.media.uploads.wait(mxcOf(media), ended)
    const found = await load(ctx, media)
    if (found) return found
    if (ended.aborted) throw new MatrixError('M_NOT_YET_UPLOADED', 'The content has not been uploaded yet')
    await wait
  }
}

/**
 * Undefined while the content is awaited, and for media of another server that are not here.
 *
 * @throws MatrixError M_NOT_FOUND
 */
async function load(ctx: Engine, media: MediaName): Promise<StoredMedia | undefined> {
  const [row] = await ctx.database.read(mediaById, [media.serverName, media.mediaId])
  if (!row) {
    if (ctx.domains.isLocal(media.serverName)) throw notFound()
    return undefined
  }
  if (row.quarantined) throw notFound()
  if (row.sha256 === null) {
    if ((row.expires_at ?? 0) <= ctx.clock.now()) throw notFound()
    return undefined
  }
  return storedOf({ ...row, sha256: row.sha256 })
}

function storedOf(row: MediaRow & { sha256: Buffer }): StoredMedia {
  return {
    hash: row.sha256,
    size: row.size!,
    contentType: row.content_type ?? undefined,
    filename: row.filename ?? undefined,
  }
}

/** Whether the media are here now. */
async function fetchRemote(
  ctx: Engine,
  media: MediaName,
  { asker, by }: { readonly asker: ServerName; readonly by: string },
  timeout: number,
): Promise<boolean> {
  const uri = mxcOf(media)
  const { fetches } = ctx.media
  if (!fetches.has(uri)) await ctx.rateLimits.check('remote_media', by)
  const underWay = fetches.get(uri)
  if (underWay) return underWay
  if (fetches.size >= MAX_REMOTE_FETCHES) {
    throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many media are being fetched', { extra: { retry_after_ms: 1000 } })
  }
  const fetching = fetchAndStore(ctx, media, { asker, by }, timeout).finally(() => fetches.delete(uri))
  fetches.set(uri, fetching)
  return fetching
}

async function fetchAndStore(
  ctx: Engine,
  media: MediaName,
  { asker, by }: { readonly asker: ServerName; readonly by: string },
  timeout: number,
): Promise<boolean> {
  const { serverName, mediaId } = media
  const maxBytes = ctx.config.media.max_upload_size
  const remote = await ctx.media.remote.fetch(serverName, mediaId, { asker, timeout, maxBytes })
  if (!remote) return false
  const about = describe({ contentType: remote.contentType, filename: shortened(remote.filename) })
  try {
    // Another process may have fetched the same meanwhile: then its row stands.
    const content = charged(ctx, remote.content, by)
    await storeContent(ctx, { content, length: undefined }, (query, sha256) =>
      insertMedia(query, {
        server_name: serverName,
        media_id: mediaId,
        uploader: null,
        created_at: ctx.clock.now(),
        sha256,
        ...about,
      }),
    )
  } catch (error) {
    if (!(error instanceof MatrixError) || error.errcode !== 'M_TOO_LARGE') throw error
    throw new MatrixError('M_TOO_LARGE', 'The content is too large to serve', { status: 502 })
  }
  return true
}

const mebibyte = 1024 * 1024

/** What comes of it counts for who wanted it, whether it is kept or not. */
async function* charged(
  { rateLimits }: Pick<Engine, 'rateLimits'>,
  content: AsyncIterable<Uint8Array>,
  by: string,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    for await (const chunk of content) {
      bytes += chunk.length
      yield chunk
    }
  } finally {
    await rateLimits.charge('remote_media', by, bytes / mebibyte)
  }
}

/** Another server's file name is not a reason to refuse its file. */
function shortened(filename: string | undefined): string | undefined {
  return filename?.toWellFormed().slice(0, 255)
}

function notFound(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'Media not found')
}
