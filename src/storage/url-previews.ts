import { type Query, statement } from './database.ts'

export const previewByUrl = statement<{ preview: string }>(
  'preview of a URL',
  'select preview from url_previews where url = $1 and expires_at > $2',
)

export const savePreview = statement<never>(
  'save a preview',
  `insert into url_previews (url, preview, expires_at) values ($1, $2, $3)
   on conflict (url) do update set preview = excluded.preview, expires_at = excluded.expires_at`,
)

export const deleteOldPreviews = statement<{ count: number }>(
  'delete old previews',
  `with gone as (
     delete from url_previews where ctid = any(array(
       select ctid from url_previews where expires_at <= $1 limit $2 for update skip locked)) returning 1)
   select count(*)::int as count from gone`,
)

/** An image that was stored for a preview. */
export async function insertPreviewImage(
  query: Query,
  image: { readonly server_name: string; readonly media_id: string; readonly now: number },
): Promise<void> {
  await query('insert into url_preview_images (server_name, media_id, used_at) values ($1, $2, $3)', [
    image.server_name,
    image.media_id,
    image.now,
  ])
}

/** An image of the same content that is still to be had; it stays for as long as a new one. */
export const reuseImage = statement<{ server_name: string; media_id: string }>(
  'reuse an image of previews',
  `update url_preview_images i set used_at = $2
   from media m where m.server_name = i.server_name and m.media_id = i.media_id and m.sha256 = $1
     and m.quarantined_by is null
   returning i.server_name, i.media_id`,
)

/** Takes images off the list that no preview has had since a moment: whoever gets them deletes them. */
export const takeOldImages = statement<{ server_name: string; media_id: string }>(
  'take old images of previews',
  `delete from url_preview_images where ctid = any(array(
     select ctid from url_preview_images where used_at <= $1 limit $2 for update skip locked))
   returning server_name, media_id`,
)
