import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { removeMedia } from '../media/remove-media.ts'
import { createAddressPolicy } from '../net/addresses.ts'
import { createOutgoing } from '../net/outgoing.ts'
import { deleteOldPreviews, previewByUrl, savePreview, takeOldImages } from '../storage/url-previews.ts'
import { fetchTarget, unreachable } from './fetch-target.ts'
import { IMAGE_LIFETIME_MS, MAX_PAGE_MS, MAX_PREVIEW_MS, MAX_PREVIEWS_AT_ONCE } from './limits.ts'
import { storeImage } from './preview-image.ts'
import { parseTarget } from './preview-target.ts'
import { readPage } from './read-page.ts'

/**
 * Previews of web pages. What a page says is read within limits of time, size and depth, only from addresses that may be
 * connected to, and remembered for all users.
 */
export type UrlPreviews = {
  /**
   * @param domain Whose user asks, and whose media its image becomes.
   * @throws MatrixError M_INVALID_PARAM, M_FORBIDDEN, M_LIMIT_EXCEEDED; M_CONNECTION_FAILED for a page that cannot be had.
   */
  of(text: string, domain: ServerName): Promise<JsonObject>
  /** Deletes what is too old. */
  prune(): Promise<void>
  close(): Promise<void>
}

type Engine = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'media' | 'closing' | 'log'>

const pruneEvery = 60 * 60_000
/** Rows of one statement. */
const pruningPortion = 1000

export function createUrlPreviews(base: Engine): UrlPreviews {
  const outgoing = createOutgoing(createAddressPolicy(base.config.url_previews.allow_addresses))
  const ctx = { ...base, outgoing }
  const underWay = new Map<string, Promise<JsonObject>>()
  let pruning: Promise<void> | undefined

  async function make(target: URL, domain: ServerName): Promise<JsonObject> {
    const known = await ctx.database.read(previewByUrl, [target.href, ctx.clock.now()])
    if (known[0]) return JSON.parse(known[0].preview) as JsonObject
    const whole = AbortSignal.any([AbortSignal.timeout(MAX_PREVIEW_MS), ctx.closing])
    const preview = await fetchPreview(ctx, target, domain, whole)
    const expiresAt = ctx.clock.now() + ctx.config.url_previews.cache_seconds * 1000
    await ctx.database.read(savePreview, [target.href, JSON.stringify(preview), expiresAt])
    return preview
  }

  async function pruneAll(): Promise<void> {
    const now = ctx.clock.now()
    for (let count = pruningPortion; count === pruningPortion && !ctx.closing.aborted; ) {
      count = (await ctx.database.read(deleteOldPreviews, [now, pruningPortion]))[0]!.count
    }
    for (let count = pruningPortion; count === pruningPortion && !ctx.closing.aborted; ) {
      const images = await ctx.database.read(takeOldImages, [now - IMAGE_LIFETIME_MS, pruningPortion])
      for (const image of images) {
        await removeMedia(ctx, { serverName: image.server_name as ServerName, mediaId: image.media_id })
      }
      count = images.length
    }
  }

  const prune = (): Promise<void> => {
    pruning ??= pruneAll().finally(() => (pruning = undefined))
    return pruning
  }
  const attempt = (): Promise<void> =>
    prune().catch((error: unknown) => ctx.log.warn({ err: error }, 'Old previews could not be deleted'))
  const timer = setInterval(attempt, pruneEvery)
  timer.unref()

  return {
    async of(text, domain) {
      const target = parseTarget(ctx.config, text)
      const known = underWay.get(target.href)
      if (known) return known
      if (underWay.size >= MAX_PREVIEWS_AT_ONCE) {
        throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many pages are being read', { extra: { retry_after_ms: 1000 } })
      }
      const making = make(target, domain).finally(() => underWay.delete(target.href))
      underWay.set(target.href, making)
      return making
    },
    prune,
    async close() {
      clearInterval(timer)
      await Promise.allSettled([...underWay.values(), pruning])
      await outgoing.close()
    },
  }
}

type Fetching = Engine & Parameters<typeof fetchTarget>[0]

async function fetchPreview(ctx: Fetching, target: URL, domain: ServerName, whole: AbortSignal): Promise<JsonObject> {
  const inTime = AbortSignal.any([AbortSignal.timeout(MAX_PAGE_MS), whole])
  const page = await fetchTarget(ctx, target, 'text/html, application/xhtml+xml, image/*;q=0.5', inTime)
  if (page.contentType.startsWith('image/')) {
    const image = await storeImage(ctx, domain, page).catch(() => undefined)
    return image ?? Promise.reject(unreachable())
  }
  if (!/^(text\/html|application\/xhtml\+xml)\b/i.test(page.contentType)) {
    page.body.destroy()
    return {}
  }
  const { properties, image } = await readPage(page.body, page.contentType, ctx.config.url_previews.max_page_bytes)
  return { ...properties, ...(image !== undefined && (await imageOf(ctx, image, page.url, domain, whole))) }
}

/** A page without its image is better than none. */
async function imageOf(
  ctx: Fetching,
  text: string,
  page: URL,
  domain: ServerName,
  signal: AbortSignal,
): Promise<JsonObject | undefined> {
  try {
    const fetched = await fetchTarget(ctx, parseTarget(ctx.config, text, page), 'image/*', signal)
    return await storeImage(ctx, domain, fetched)
  } catch (error) {
    ctx.log.debug({ error: (error as Error).message }, 'The image of a page cannot be had')
    return undefined
  }
}
