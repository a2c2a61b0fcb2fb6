/**
 * Content that no browser runs as a page when it is shown under its own type.
 *
 * Spec: Client-Server API, "Serving inline content" (v1.19).
 */
const inlineTypes: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
])

/** The header's value: whether to show or to save, and under which name. */
export function contentDisposition(contentType: string, filename: string | undefined): string {
  const type = contentType.split(';')[0]!.trim().toLowerCase()
  const disposition = inlineTypes.has(type) ? 'inline' : 'attachment'
  return filename === undefined ? disposition : `${disposition}; ${nameParameter(filename)}`
}

/** Plain text where every reader understands it alike; anything else in the encoding of RFC 8187. */
function nameParameter(filename: string): string {
  if (/^[\x20-\x7e]*$/.test(filename) && !/["\\%]/.test(filename)) return `filename="${filename}"`
  const encoded = encodeURIComponent(filename.toWellFormed()).replaceAll(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `filename*=UTF-8''${encoded}`
}
