import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { holdBlob, insertThumbnail, type ThumbnailRow, thumbnailOf } from '../storage/media.ts'
import type { StoredMedia } from './find-media.ts'
import { type ImageType, imageTypeBytes, imageTypeOf } from './image-type.ts'
import { type ThumbnailForm, type ThumbnailMethod, thumbnailForm, variantOf } from './thumbnail-sizes.ts'
import type { ThumbnailOutcome } from './thumbnailer.ts'

type Engine = Pick<Context, 'database' | 'clock' | 'media'>

/** An image of the repository's own making, or one whose type was found out. */
export type Thumbnail = { readonly hash: Buffer; readonly size: number; readonly contentType: string }

/**
 * An image in at least the size asked for, unless it is smaller itself. Made when it is first asked for, and kept.
 *
 * Spec: Content repository, "Thumbnails" (v1.19).
 *
 * @param asked `isRemote` decides the status of what is too large.
 * @throws MatrixError M_UNKNOWN (400) for what is no image we decode, M_TOO_LARGE (413 or 502), M_LIMIT_EXCEEDED.
 */
export async function thumbnail(
  ctx: Engine,
  media: StoredMedia,
  asked: { width: number; height: number; method: ThumbnailMethod; animated: boolean; isRemote: boolean },
): Promise<Thumbnail> {
  const form = thumbnailForm(asked)
  const [known] = await ctx.database.read(thumbnailOf, [media.hash, variantOf(form)])
  const row = known ?? (await makeOnce(ctx, media, form))
  if (row.problem === 'too large') {
    throw new MatrixError('M_TOO_LARGE', 'The image is too large to make a thumbnail of it', {
      status: asked.isRemote ? 502 : 413,
    })
  }
  if (row.problem !== null) throw noImage()
  if (row.sha256 === null) return { hash: media.hash, size: media.size, contentType: row.content_type! }
  return { hash: row.sha256, size: row.size!, contentType: row.content_type! }
}

/** Requests that want the same at once share its making. */
async function makeOnce(ctx: Engine, media: StoredMedia, form: ThumbnailForm): Promise<ThumbnailRow> {
  const key = `${media.hash.toString('hex')} ${variantOf(form)}`
  const { thumbnails } = ctx.media
  const underWay = thumbnails.get(key)
  if (underWay) return underWay
  const making = make(ctx, media, form).finally(() => thumbnails.delete(key))
  thumbnails.set(key, making)
  return making
}

async function make(ctx: Engine, media: StoredMedia, form: ThumbnailForm): Promise<ThumbnailRow> {
  const type = await typeOf(ctx, media)
  // Costs nothing to find out again, so nothing is kept.
  if (type === undefined) throw noImage()
  const outcome = await ctx.media.store.withFile(media.hash, (path) => ctx.media.thumbnailer.make(path, form))
  return keep(ctx, { source: media.hash, variant: variantOf(form) }, type, outcome)
}

async function typeOf(ctx: Engine, media: StoredMedia): Promise<ImageType | undefined> {
  if (media.size < imageTypeBytes) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of await ctx.media.store.read(media.hash, { start: 0, end: imageTypeBytes - 1 })) {
    chunks.push(Buffer.from(chunk))
  }
  return imageTypeOf(Buffer.concat(chunks))
}

async function keep(
  ctx: Engine,
  key: { readonly source: Buffer; readonly variant: string },
  type: ImageType,
  outcome: ThumbnailOutcome,
): Promise<ThumbnailRow> {
  const data = 'data' in outcome ? [outcome.data] : []
  const received = data.length === 0 ? undefined : await ctx.media.store.receive(oneByOne(data))
  const row = {
    sha256: received?.hash ?? null,
    content_type: 'contentType' in outcome ? outcome.contentType : 'original' in outcome ? type : null,
    problem: 'problem' in outcome ? outcome.problem : null,
  }
  try {
    await ctx.database.transaction(async (query) => {
      // The source first, as those do who remove media.
      await query('select from blobs where sha256 = $1 for key share', [key.source])
      if (received) await holdBlob(query, { sha256: received.hash, size: received.size, now: ctx.clock.now() })
      await insertThumbnail(query, { ...key, ...row })
      await received?.keep()
    })
  } finally {
    await received?.discard()
  }
  return { ...row, size: received?.size ?? null }
}

async function* oneByOne(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function noImage(): MatrixError {
  return new MatrixError('M_UNKNOWN', 'No thumbnail can be made of this content', { status: 400 })
}
