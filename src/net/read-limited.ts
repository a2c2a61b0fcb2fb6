/** The body of an answer, as far as it goes. */
export type AnswerBody = AsyncIterable<Buffer> & {
  on(event: 'error', listener: () => void): unknown
  destroy(): unknown
}

/** Takes nothing more of a body. */
export function discard(body: AnswerBody): void {
  // Ending it early is an error to the stream, which nobody has to hear of.
  body.on('error', () => {})
  body.destroy()
}

/** @throws Error for more bytes than `limit`, of which no more are taken, and when the body does not come to its end. */
export async function readLimited(body: AnswerBody, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > limit) {
      discard(body)
      throw new Error('the answer is too long')
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}
