export type ThumbnailMethod = 'crop' | 'scale'

/** One of the forms that thumbnails are made in. Without a size, the image in its own size, but still. */
export type ThumbnailForm = {
  readonly method: ThumbnailMethod
  readonly size: { readonly width: number; readonly height: number } | undefined
  /** Whether it may move. */
  readonly animated: boolean
}

/**
 * Whatever sizes clients ask for, these are made: what an image costs on disk and in time is bounded. The small five are
 * the specification's (Content repository, "Thumbnails"); the others serve screens of a higher density.
 */
const crops = [32, 96, 320, 640, 800]
const scales = [
  [320, 240],
  [640, 480],
  [800, 600],
  [1600, 1200],
] as const

/**
 * The smallest form that is not smaller than what was asked for.
 *
 * A crop to anything but a square is a scaled image: the client, which has to fit it anyway, then misses nothing.
 */
export function thumbnailForm(asked: {
  width: number
  height: number
  method: ThumbnailMethod
  animated: boolean
}): ThumbnailForm {
  const { width, height, animated } = asked
  if (asked.method === 'crop' && width === height) {
    const side = crops.find((one) => one >= width)
    if (side !== undefined) return { method: 'crop', size: { width: side, height: side }, animated }
  }
  const scale = scales.find(([w, h]) => w >= width && h >= height)
  return { method: 'scale', size: scale && { width: scale[0], height: scale[1] }, animated }
}

/** The form as text, for a key. */
export function variantOf({ method, size, animated }: ThumbnailForm): string {
  const name = size === undefined ? 'full' : `${method}-${size.width}x${size.height}`
  return animated ? `${name}-animated` : name
}

export type ImageFacts = {
  /** Pixels of one frame, as it is shown. */
  readonly width: number
  readonly height: number
  readonly isAnimated: boolean
}

/**
 * The pixels a thumbnail gets: "servers MUST NOT upscale thumbnails under any circumstance", and must not make them
 * smaller than asked in either direction unless the image is.
 *
 * @returns undefined when the image serves as it is.
 */
export function thumbnailPixels(image: ImageFacts, form: ThumbnailForm): { width: number; height: number } | undefined {
  const mustStandStill = image.isAnimated && !form.animated
  const whole = mustStandStill ? { width: image.width, height: image.height } : undefined
  if (form.size === undefined) return whole
  const { width, height } = form.size
  const factor = Math.max(width / image.width, height / image.height)
  if (factor >= 1) {
    if (form.method === 'scale' || (image.width <= width && image.height <= height)) return whole
    return { width: Math.min(width, image.width), height: Math.min(height, image.height) }
  }
  if (form.method === 'crop') return { width, height }
  return { width: Math.max(1, Math.ceil(image.width * factor)), height: Math.max(1, Math.ceil(image.height * factor)) }
}
