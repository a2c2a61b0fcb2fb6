import { parseServerName, type ServerName } from '../matrix/ids.ts'

/** What an `mxc://` URI names. */
export type MediaName = { readonly serverName: ServerName; readonly mediaId: string }

/**
 * Only these characters can be in a path or a key of a store without meaning anything there.
 *
 * Spec: Content repository, "Security considerations" (v1.19).
 */
export function parseMediaId(text: string): string | undefined {
  return /^[A-Za-z0-9_-]{1,255}$/.test(text) ? text : undefined
}

export function mxcOf(media: MediaName): string {
  return `mxc://${media.serverName}/${media.mediaId}`
}

/** The media an `mxc://` URI names; undefined for any other text. */
export function parseMxc(uri: string): MediaName | undefined {
  const match = /^mxc:\/\/([^/]+)\/([^/]+)$/.exec(uri)
  const serverName = parseServerName(match?.[1] ?? '')
  const mediaId = parseMediaId(match?.[2] ?? '')
  return serverName === undefined || mediaId === undefined ? undefined : { serverName, mediaId }
}
