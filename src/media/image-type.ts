/** Images that are decoded here. */
export type ImageType = 'image/jpeg' | 'image/png' | 'image/gif' | 'image/webp'

/** Bytes of a file's beginning that say what it is. */
export const imageTypeBytes = 12

/** What an image is by its first bytes, whatever it is called; undefined for all that is not decoded here. */
export function imageTypeOf(head: Buffer): ImageType | undefined {
  const text = head.toString('latin1')
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'image/gif'
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'image/webp'
  return undefined
}
