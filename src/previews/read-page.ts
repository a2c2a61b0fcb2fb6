import { createPageReader, type PageFacts } from './open-graph.ts'

/** Bytes of a page's beginning in which it may say how it is encoded. Spec: WHATWG HTML, "prescan a byte stream". */
const prescanned = 1024

/**
 * Reads a page as far as it has something to tell: no more than `maxBytes`, and what has come when it breaks off.
 *
 * @param contentType The header.
 */
export async function readPage(
  body: AsyncIterable<Buffer> & { destroy(): unknown },
  contentType: string,
  maxBytes: number,
): Promise<PageFacts> {
  const reader = createPageReader()
  let decoder: TextDecoder | undefined
  let head = Buffer.alloc(0)
  let length = 0
  const decode = (bytes: Buffer): boolean => {
    decoder ??= decoderFor(contentType, bytes)
    return reader.read(decoder.decode(bytes, { stream: true }))
  }
  try {
    for await (const chunk of body) {
      const bytes = chunk.subarray(0, maxBytes - length)
      length += bytes.length
      if (decoder === undefined && head.length + bytes.length < prescanned && length < maxBytes) {
        head = Buffer.concat([head, bytes])
        continue
      }
      const wantsMore = decode(decoder === undefined ? Buffer.concat([head, bytes]) : bytes)
      if (!wantsMore || length >= maxBytes) break
    }
  } catch {
    // It took too long or broke off.
  }
  body.destroy()
  if (decoder === undefined) decode(head)
  return reader.facts()
}

/** A mark at the beginning, then the header, then what the page itself says, then UTF-8. */
function decoderFor(contentType: string, head: Buffer): TextDecoder {
  const marked = markOf(head)
  const inHeader = /charset\s*=\s*["']?([\w:-]{1,40})/i.exec(contentType)?.[1]
  const inPage = /<meta[^>]{0,200}charset\s*=\s*["']?([\w:-]{1,40})/i.exec(head.toString('latin1', 0, prescanned))?.[1]
  for (const label of [marked, inHeader, inPage]) {
    if (label === undefined) continue
    try {
      return new TextDecoder(label)
    } catch {
      // Not an encoding that is known.
    }
  }
  return new TextDecoder()
}

function markOf(head: Buffer): string | undefined {
  if (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) return 'utf-8'
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be'
  return undefined
}
