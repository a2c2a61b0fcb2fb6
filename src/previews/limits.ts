/** Limits of previews that no operator needs to change. */

/** Characters of a URL. */
export const MAX_URL_LENGTH = 2048

/** Milliseconds until a page has been read; what has come of it by then counts. */
export const MAX_PAGE_MS = 5000

/** Milliseconds for the whole preview, its image included. */
export const MAX_PREVIEW_MS = 9000

/** Redirects that are followed. */
export const MAX_REDIRECTS = 5

/** Pages that one process asks for at once. */
export const MAX_PREVIEWS_AT_ONCE = 32

/** Elements within one another; a page with more is read no further. */
export const MAX_DEPTH = 1000

/** Characters of a page that are parsed at a time, before it is looked whether to go on. */
export const PARSED_AT_ONCE = 4096

/** Characters of a title, and of other texts. */
export const MAX_TITLE = 300
export const MAX_TEXT = 1000

/** Milliseconds for which an image is kept after the last page was found to have it. */
export const IMAGE_LIFETIME_MS = 7 * 24 * 60 * 60 * 1000
