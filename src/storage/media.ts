import { type Query, statement } from './database.ts'

export type MediaRow = {
  uploader: number | null
  /** Null while the upload is awaited. */
  sha256: Buffer | null
  expires_at: number | null
  content_type: string | null
  filename: string | null
  size: number | null
  quarantined: boolean
}

export const mediaById = statement<MediaRow>(
  'media',
  // What was taken out of use is so under every name, but where it is protected.
  `select uploader, sha256, expires_at, content_type, filename, size, quarantined_by is not null or not protected and
     exists (select from media o where o.sha256 = m.sha256 and o.quarantined_by is not null) as quarantined
   from media m left join blobs using (sha256) where server_name = $1 and media_id = $2`,
)

/** The user's ids that wait for content at a time, and when the first of them ends. */
export const awaitedMedia = statement<{ count: number; first: number | null }>(
  'awaited media',
  `select count(*) as count, min(expires_at) as first from media
   where uploader = $1 and sha256 is null and expires_at > $2`,
)

export type NewMedia = {
  readonly server_name: string
  readonly media_id: string
  readonly uploader: number | null
  readonly created_at: number
}

/**
 * Makes an id without content, unless the user has `max` of them already; those that ended go.
 *
 * @returns whether it was made.
 */
export async function insertAwaitedMedia(
  query: Query,
  media: NewMedia & { uploader: number; expires_at: number },
  max: number,
): Promise<boolean> {
  const { server_name, media_id, uploader, created_at, expires_at } = media
  // Two requests of one user must not both find the last place free.
  await query('select from users where user_nid = $1 for no key update', [uploader])
  await query('delete from media where uploader = $1 and sha256 is null and expires_at <= $2', [uploader, created_at])
  const made = await query(
    `insert into media (server_name, media_id, uploader, created_at, expires_at)
     select $1, $2, $3, $4, $5
     where (select count(*) from media where uploader = $3 and sha256 is null) < $6 returning media_id`,
    [server_name, media_id, uploader, created_at, expires_at, max],
  )
  return made.length > 0
}

/**
 * Records a blob, and holds its row until the transaction ends: whoever removes the blob has to wait, or is waited for.
 */
export async function holdBlob(query: Query, blob: { sha256: Buffer; size: number; now: number }): Promise<void> {
  await query(
    `insert into blobs (sha256, size, created_at) values ($1, $2, $3)
     on conflict (sha256) do update set size = excluded.size`,
    [blob.sha256, blob.size, blob.now],
  )
}

type Content = { readonly sha256: Buffer; readonly content_type: string | null; readonly filename: string | null }

/** @returns false when there is such media already. */
export async function insertMedia(query: Query, media: NewMedia & Content): Promise<boolean> {
  const rows = await query(
    `insert into media (server_name, media_id, uploader, created_at, sha256, content_type, filename)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning media_id`,
    [
      media.server_name,
      media.media_id,
      media.uploader,
      media.created_at,
      media.sha256,
      media.content_type,
      media.filename,
    ],
  )
  return rows.length > 0
}

/** @returns false when the content came from elsewhere meanwhile, or the id is gone. */
export async function fillMedia(
  query: Query,
  media: Content & { readonly server_name: string; readonly media_id: string },
): Promise<boolean> {
  const rows = await query(
    `update media set sha256 = $3, content_type = $4, filename = $5, expires_at = null
     where server_name = $1 and media_id = $2 and sha256 is null returning media_id`,
    [media.server_name, media.media_id, media.sha256, media.content_type, media.filename],
  )
  return rows.length > 0
}

/** @returns the content it had; undefined when there is no such media. */
export async function deleteMedia(
  query: Query,
  serverName: string,
  mediaId: string,
): Promise<{ sha256: Buffer | null } | undefined> {
  const [row] = await query<{ sha256: Buffer | null }>(
    'delete from media where server_name = $1 and media_id = $2 returning sha256',
    [serverName, mediaId],
  )
  return row
}

/**
 * Deletes a blob that no media have, and the thumbnails made of it; the rows stay locked until the transaction ends.
 *
 * @returns the hashes that are stored no more.
 */
export async function deleteUnusedBlobs(query: Query, sha256: Buffer): Promise<Buffer[]> {
  await query('select from blobs where sha256 = $1 for update', [sha256])
  const [used] = await query('select from media where sha256 = $1 limit 1', [sha256])
  const [shown] = await query('select from thumbnails where sha256 = $1 limit 1', [sha256])
  if (used !== undefined || shown !== undefined) return []
  const thumbnails = await query<{ sha256: Buffer | null }>(
    'delete from thumbnails where source = $1 returning sha256',
    [sha256],
  )
  const hashes = [sha256, ...thumbnails.flatMap((row) => (row.sha256 === null ? [] : [row.sha256]))]
  const gone = await query<{ sha256: Buffer }>(
    `delete from blobs b where sha256 = any($1::bytea[])
     and not exists (select from media m where m.sha256 = b.sha256)
     and not exists (select from thumbnails t where t.sha256 = b.sha256) returning sha256`,
    [hashes],
  )
  return gone.map((row) => row.sha256)
}

export type ThumbnailRow = {
  sha256: Buffer | null
  content_type: string | null
  problem: string | null
  size: number | null
}

export const thumbnailOf = statement<ThumbnailRow>(
  'thumbnail',
  `select t.sha256, t.content_type, t.problem, b.size from thumbnails t left join blobs b using (sha256)
   where t.source = $1 and t.variant = $2`,
)

export async function insertThumbnail(
  query: Query,
  thumbnail: {
    readonly source: Buffer
    readonly variant: string
    readonly sha256: Buffer | null
    readonly content_type: string | null
    readonly problem: string | null
  },
): Promise<void> {
  const { source, variant, sha256, content_type, problem } = thumbnail
  await query(
    `insert into thumbnails (source, variant, sha256, content_type, problem)
     select $1, $2, $3, $4, $5 where exists (select from blobs where sha256 = $1) on conflict do nothing`,
    [source, variant, sha256, content_type, problem],
  )
}
