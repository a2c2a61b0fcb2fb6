/** Limits of the media repository that no operator needs to change. */

/** UTF-8 bytes of a file name. */
export const MAX_FILE_NAME_BYTES = 1024

/** Characters of a content type; what is longer is nobody's. */
export const MAX_CONTENT_TYPE_LENGTH = 255

/** Milliseconds a download waits for an upload unless the client says otherwise. Spec: Content repository, `timeout_ms`. */
export const DEFAULT_WAIT_MS = 20_000

/** Milliseconds it waits at most. */
export const MAX_WAIT_MS = 60_000

/** Images waiting for their thumbnail in one process; beyond these, clients are told to come again. */
export const MAX_WAITING_THUMBNAILS = 100

/** Milliseconds that one thumbnail may take before its process is ended. */
export const MAX_THUMBNAIL_MS = 20_000

/** Milliseconds after which an idle thumbnail process ends. */
export const THUMBNAIL_IDLE_MS = 60_000

/** Media fetched from other servers at once by one process. */
export const MAX_REMOTE_FETCHES = 6
