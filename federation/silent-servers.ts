import { LRUCache } from 'lru-cache'
import type { Context } from '../src/context.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import { upTo } from '../src/storage/caches.ts'

/**
 * Servers that could not be reached. As soon as one shows itself, to whichever process of the deployment, everybody is told
 * by the invalidation `destinations`, so that nobody waits for it any longer.
 */
export type SilentServers = {
  /** A request to it was not answered. */
  add(server: ServerName): void
  /** It asked us for something, or answered. */
  heardOf(server: ServerName): void
}

const mostRemembered = 10_000

export function createSilentServers({ invalidations }: Pick<Context, 'invalidations'>): SilentServers {
  const silent = new LRUCache<string, true>(upTo(mostRemembered))
  invalidations.subscribe('silent-servers', (server) => {
    if (server !== undefined) silent.set(server, true)
  })
  invalidations.subscribe('destinations', (server) => {
    if (server === undefined) silent.clear()
    else silent.delete(server)
  })
  return {
    add(server) {
      if (!silent.has(server)) invalidations.publish('silent-servers', server)
    },
    heardOf(server) {
      if (silent.has(server)) invalidations.publish('destinations', server)
    },
  }
}
