import type { ServerResponse } from 'node:http'

/**
 * Sends a body after its head: each piece is asked for when the one before has gone out, and so may be overwritten then. A client
 * that leaves before the end is no failure of ours.
 *
 * @throws what the source throws.
 */
export async function sendChunks(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    if (!(await isSent(response, chunk))) return
  }
  response.end()
}

function isSent(response: ServerResponse, chunk: Uint8Array): Promise<boolean> {
  // The response knows nothing of its connection as long as it waits for the one before it.
  const { socket } = response.req
  if (socket.destroyed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const onClose = () => resolve(false)
    socket.once('close', onClose)
    response.write(chunk, (error) => {
      socket.off('close', onClose)
      resolve(!error)
    })
  })
}
