import type { Context } from '../context.ts'
import { deleteMedia, deleteUnusedBlobs } from '../storage/media.ts'
import type { MediaName } from './media-ids.ts'

/**
 * Removes media, and their content and its thumbnails unless other media have the same.
 *
 * @returns whether there were such media.
 */
export async function removeMedia(ctx: Pick<Context, 'database' | 'media'>, media: MediaName): Promise<boolean> {
  return await ctx.database.transaction(async (query) => {
    const row = await deleteMedia(query, media.serverName, media.mediaId)
    if (!row) return false
    if (row.sha256 === null) return true
    // While the rows are locked nobody can store the same content again, so the file is nobody's.
    for (const hash of await deleteUnusedBlobs(query, row.sha256)) await ctx.media.store.remove(hash)
    return true
  })
}
