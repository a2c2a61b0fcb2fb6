/** A part of a multipart body: its headers, by name in lower case. */
export type PartHeaders = ReadonlyMap<string, string>

/** Bytes of the headers of one part, and of the whole of a part that is not streamed. */
const maxHeaderBytes = 16 * 1024
const maxFirstPart = 64 * 1024

const lineEnd = Buffer.from('\r\n')
const headersEnd = Buffer.from('\r\n\r\n')

/**
 * The `boundary` of a `multipart/mixed` content type.
 *
 * @returns undefined for another type, and for what RFC 2046, 5.1.1, does not allow.
 */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const match = /^multipart\/mixed\s*;(?:.*;)?\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(
    contentType?.slice(0, 1000) ?? '',
  )
  return match?.[1] ?? match?.[2]
}

/**
 * Takes the second part out of a multipart body, as media come over federation: the first part is about the media and has
 * to be JSON, which nothing is read from yet. Memory is bounded by the size of one chunk.
 *
 * Spec: Server-Server API, "Content Repository" (v1.19); RFC 2046, 5.1.
 *
 * @returns the part's headers, and its content as it comes.
 * @throws Error when the body is not such a thing; also while the content is read.
 */
export async function secondPart(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
): Promise<{ headers: PartHeaders; content: AsyncIterable<Buffer> }> {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const reader = createReader(body)
  // A body may begin with its first delimiter, whose line end is then missing.
  reader.prepend(lineEnd)
  await reader.readUntil(delimiter, maxFirstPart)
  await endOfDelimiter(reader)
  await reader.readUntil(delimiter, maxFirstPart)
  await endOfDelimiter(reader)
  const headers = await readHeaders(reader)
  return { headers, content: reader.stream(delimiter) }
}

type Reader = {
  prepend(bytes: Buffer): void
  /** What is before a mark, which is taken out too. */
  readUntil(mark: Buffer, limit: number): Promise<Buffer>
  stream(mark: Buffer): AsyncIterable<Buffer>
}

function createReader(source: AsyncIterable<Uint8Array>): Reader {
  const chunks = source[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  const more = async (): Promise<void> => {
    const next = await chunks.next()
    if (next.done) throw new Error('The multipart body ends too early')
    held = held.length === 0 ? Buffer.from(next.value) : Buffer.concat([held, next.value])
  }
  return {
    prepend(bytes) {
      held = Buffer.concat([bytes, held])
    },
    async readUntil(mark, limit) {
      for (let looked = 0; ; ) {
        const at = held.indexOf(mark, looked)
        if (at >= 0) {
          const before = held.subarray(0, at)
          held = held.subarray(at + mark.length)
          return before
        }
        if (held.length > limit) throw new Error('A part of the multipart body is too long')
        looked = Math.max(0, held.length - mark.length + 1)
        await more()
      }
    },
    async *stream(mark) {
      try {
        for (;;) {
          const at = held.indexOf(mark)
          if (at >= 0) {
            if (at > 0) yield held.subarray(0, at)
            return
          }
          // The mark may have begun at the end of what is here.
          const safe = held.length - mark.length + 1
          if (safe > 0) {
            yield held.subarray(0, safe)
            held = held.subarray(safe)
          }
          await more()
        }
      } finally {
        await chunks.return?.()
      }
    },
  }
}

/** What follows a delimiter on its line: nothing but white space. */
async function endOfDelimiter(reader: Reader): Promise<void> {
  const rest = await reader.readUntil(lineEnd, 1000)
  if (rest.toString('latin1').trim() !== '') throw new Error('The multipart body has too few parts')
}

async function readHeaders(reader: Reader): Promise<PartHeaders> {
  // Without headers the empty line follows at once.
  reader.prepend(lineEnd)
  const block = (await reader.readUntil(headersEnd, maxHeaderBytes)).toString('utf8')
  const headers = new Map<string, string>()
  for (const line of block.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return headers
}
