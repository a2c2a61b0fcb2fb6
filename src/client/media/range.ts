import type { ByteRange } from '../../media/media-store.ts'

/**
 * The one range of bytes that a request asks for. Several at once, another unit, or a range of an older content are
 * answered with everything, as RFC 9110, section 14.2 lets servers do.
 */
export function rangeOf(
  headers: { readonly range?: string | undefined; readonly 'if-range'?: unknown },
  size: number,
  etag: string,
): ByteRange | 'unsatisfiable' | undefined {
  const condition = headers['if-range']
  if (headers.range === undefined || (condition !== undefined && condition !== etag)) return undefined
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(headers.range.trim())
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const [first, last] = [match[1]!, match[2]!]
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}
