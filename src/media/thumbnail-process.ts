/**
 * The program of the process that decodes images: what others uploaded is read here, apart from every secret, and a
 * decoder that fails or hangs takes nothing else along. Started by thumbnailer.ts.
 */
import { open } from 'node:fs/promises'
import sharp from 'sharp'
import { thumbnailPixels } from './thumbnail-sizes.ts'
import type { ThumbnailJob, ThumbnailOutcome } from './thumbnailer.ts'

sharp.cache(false)
sharp.concurrency(1)
sharp.block({ operation: ['VipsForeignLoad'] })
const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif']
sharp.unblock({ operation: loaders.flatMap((name) => [`VipsForeignLoad${name}File`]) })

/** Frames of an animation; a longer one stands still. */
const maxFrames = 500

process.on('message', (job: ThumbnailJob) => {
  makeThumbnail(job)
    .catch((): ThumbnailOutcome => ({ problem: 'undecodable' }))
    .then((outcome) => process.send?.(outcome))
})
// The server is gone.
process.on('disconnect', () => process.exit(0))

async function makeThumbnail({ path, form, maxPixels }: ThumbnailJob): Promise<ThumbnailOutcome> {
  const options = { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true } as const
  // The limit holds for decoding; only the header is read here.
  const image = await sharp(path, { ...options, limitInputPixels: false }).metadata()
  const { width, height } = image.autoOrient
  if (width * height > maxPixels) return { problem: 'too large' }
  if (form === undefined) return { pixels: { width, height } }
  const frames = image.pages ?? 1
  const moves = form.animated && frames > 1 && frames <= maxFrames && width * height * frames <= maxPixels
  const isAnimated = frames > 1 || (image.format === 'png' && (await isAnimatedPng(path)))
  const pixels = thumbnailPixels({ width, height, isAnimated }, { ...form, animated: moves || !isAnimated })
  if (pixels === undefined) return { original: true }
  const resized = sharp(path, { ...options, animated: moves })
    .autoOrient()
    .resize({ ...pixels, fit: form.method === 'crop' ? 'cover' : 'fill', withoutEnlargement: true })
  if (moves) return { contentType: 'image/webp', data: await resized.webp({ quality: 75, effort: 2 }).toBuffer() }
  if (image.hasAlpha || image.format === 'png')
    return { contentType: 'image/png', data: await resized.png({ compressionLevel: 7 }).toBuffer() }
  return { contentType: 'image/jpeg', data: await resized.jpeg({ quality: 80 }).toBuffer() }
}

/** Whether a PNG has an `acTL` chunk, which comes before the image's data. */
async function isAnimatedPng(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const head = Buffer.alloc(8)
    for (let at = 8, chunks = 0; chunks < 1000; chunks++) {
      if ((await file.read(head, 0, 8, at)).bytesRead < 8) return false
      const type = head.toString('latin1', 4)
      if (type === 'acTL') return true
      if (type === 'IDAT') return false
      at += 12 + head.readUInt32BE(0)
    }
    return false
  } finally {
    await file.close()
  }
}
