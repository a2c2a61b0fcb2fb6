import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Listens where nobody of ours may go, and counts who comes. */
export async function startCanary(host: string, at = 0) {
  let visits = 0
  const server = createServer((_request, response) => response.end('{}'))
  server.on('connection', () => visits++)
  await new Promise<void>((resolve) => server.listen(at, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    visits: () => visits,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
