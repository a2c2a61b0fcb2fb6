/**
 * Base64 without padding, as binary data is written in JSON.
 *
 * Spec: Appendices, "Unpadded Base64" (v1.19).
 */
export function encodeBase64(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return unpadded(text)
}

/** Takes the standard and the URL-safe alphabet, with padding or without; anything else is undefined. */
export function decodeBase64(text: string): Buffer | undefined {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  if (digits % 4 === 1 || (padding > 0 && text.length % 4 !== 0)) return undefined
  return /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}

/** `text` without its padding. */
export function unpadded(text: string): string {
  const padding = text.indexOf('=')
  return padding < 0 ? text : text.slice(0, padding)
}
