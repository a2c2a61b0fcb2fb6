import type { ListedMedia } from '../../storage/admin-media.ts'

/** Media in a list of a user's. */
export function mediaAnswer(media: ListedMedia) {
  return {
    media_id: media.media_id,
    media_type: media.content_type,
    media_length: media.size,
    upload_name: media.filename,
    created_ts: media.created_at,
    last_access_ts: null,
    quarantined_by: media.quarantined_by,
    safe_from_quarantine: media.protected,
  }
}
