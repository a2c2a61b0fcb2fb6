import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Context } from '../context.ts'
import type { ThumbnailRow } from '../storage/media.ts'
import { openDiskStore } from './disk-store.ts'
import type { MediaStore } from './media-store.ts'
import { noRemoteMedia, type RemoteMedia } from './ports.ts'
import { createThumbnailer, type Thumbnailer } from './thumbnailer.ts'
import { createUploadWaits, type UploadWaits } from './upload-waits.ts'

/** What the media repository is made of. */
export type Media = {
  readonly store: MediaStore
  readonly thumbnailer: Thumbnailer
  /** Who waits for content of an id that has none yet. */
  readonly uploads: UploadWaits
  /** Fetches under way, by URI: two that want the same share one. */
  readonly fetches: Map<string, Promise<boolean>>
  /** Thumbnails being made, likewise. */
  readonly thumbnails: Map<string, Promise<ThumbnailRow>>
  readonly remote: RemoteMedia
  /** Federation says how media of other servers are had. */
  useRemote(remote: RemoteMedia): void
  close(): Promise<void>
}

export function createMedia(ctx: Pick<Context, 'config' | 'random' | 'clock' | 'invalidations' | 'log'>): Media {
  let remote = noRemoteMedia
  const thumbnailer = createThumbnailer({ maxPixels: ctx.config.media.max_image_pixels, log: ctx.log })
  return {
    store: openDiskStore(mediaFolder(ctx.config), ctx),
    thumbnailer,
    uploads: createUploadWaits(ctx),
    fetches: new Map(),
    thumbnails: new Map(),
    get remote() {
      return remote
    },
    useRemote(other) {
      remote = other
    },
    close: () => thumbnailer.close(),
  }
}

function mediaFolder(config: Config): string {
  return config.media.path ?? join(config.data_dir, 'media')
}
