import type { Context } from '../context.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type ImageType, imageTypeBytes, imageTypeOf } from '../media/image-type.ts'
import { type MediaName, mxcOf } from '../media/media-ids.ts'
import { removeMedia } from '../media/remove-media.ts'
import { storeContent } from '../media/upload.ts'
import { insertMedia } from '../storage/media.ts'
import { insertPreviewImage, reuseImage } from '../storage/url-previews.ts'
import type { Fetched } from './fetch-target.ts'

type Engine = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'media'>

/**
 * Stores an image as media of ours, and says what clients are told of it. Only what its first bytes say is an image that is
 * decoded here, and that could be, is one.
 *
 * @returns undefined for what is no such image.
 * @throws what is thrown while it is read.
 */
export async function storeImage(ctx: Engine, domain: ServerName, fetched: Fetched): Promise<JsonObject | undefined> {
  try {
    const [type, content] = await typed(fetched.body)
    return type && (await storeTyped(ctx, domain, type, content))
  } finally {
    // Whatever is left of it.
    fetched.body.destroy()
  }
}

async function storeTyped(
  ctx: Engine,
  domain: ServerName,
  type: ImageType,
  content: AsyncIterable<Uint8Array>,
): Promise<JsonObject | undefined> {
  const media: MediaName = { serverName: domain, mediaId: ctx.random.token(18) }
  const row = { server_name: domain, media_id: media.mediaId }
  const now = ctx.clock.now()
  const about = { uploader: null, created_at: now, content_type: type, filename: null }
  let hash: Buffer | undefined
  let size = 0
  const counted = counting(content, ctx.config.url_previews.max_image_bytes, (bytes) => (size += bytes))
  await storeContent(ctx, { content: counted, length: undefined }, async (query, sha256) => {
    hash = sha256
    await insertPreviewImage(query, { ...row, now })
    return insertMedia(query, { ...row, ...about, sha256 })
  })
  const pixels = await ctx.media.store.withFile(hash!, (path) => ctx.media.thumbnailer.measure(path))
  if (pixels === undefined) {
    await removeMedia(ctx, media)
    return undefined
  }
  return {
    'og:image': mxcOf(await onceOnly(ctx, media, hash!)),
    'og:image:type': type,
    'og:image:width': pixels.width,
    'og:image:height': pixels.height,
    'matrix:image:size': size,
  }
}

/** The media that have the content already stay, and so do the URIs that clients know. */
async function onceOnly(ctx: Engine, media: MediaName, hash: Buffer): Promise<MediaName> {
  const rows = await ctx.database.read(reuseImage, [hash, ctx.clock.now()])
  const names = rows.map((row) => ({ serverName: row.server_name as ServerName, mediaId: row.media_id }))
  const other = names.find(({ mediaId }) => mediaId !== media.mediaId)
  if (other === undefined) return media
  await removeMedia(ctx, media)
  return other
}

/** What an image is by its first bytes, and all of its bytes. */
async function typed(
  body: AsyncIterable<Buffer>,
): Promise<[type: ImageType | undefined, content: AsyncIterable<Uint8Array>]> {
  const iterator = body[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  while (head.length < imageTypeBytes) {
    const next = await iterator.next()
    if (next.done) break
    head = Buffer.concat([head, next.value])
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    yield head
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  }
  return [imageTypeOf(head.subarray(0, imageTypeBytes)), all()]
}

async function* counting(
  content: AsyncIterable<Uint8Array>,
  limit: number,
  count: (bytes: number) => number,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    if (count(chunk.length) > limit) throw new Error('the image is too large')
    yield chunk
  }
}
