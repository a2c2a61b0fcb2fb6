import type { SrvRecord } from 'node:dns'
import { isIP } from 'node:net'
import type { ServerName } from '../../src/matrix/ids.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import { MAX_WELL_KNOWN_CACHE_MS, MIN_WELL_KNOWN_CACHE_MS } from '../../src/matrix/limits.ts'
import type { Caches } from '../../src/storage/caches.ts'

/** Where a server is reached: what to connect to, and the name it has to prove and is asked for. */
export type Endpoint = { readonly host: string; readonly port: number; readonly hostHeader: string }

export type WellKnown = { readonly body: unknown; readonly cacheControl: string | undefined }

export type Lookups = {
  /** The file `/.well-known/matrix/server` of a host; undefined when there is none. */
  wellKnown(host: string): Promise<WellKnown | undefined>
  srv(name: string): Promise<readonly SrvRecord[]>
  now(): number
}

const defaultPort = 8448
const defaultCache = 24 * 3_600_000
const failureCache = 3_600_000
const mostHosts = 10_000

/**
 * Finds servers by their names.
 *
 * Spec: Server-Server API, "Resolving server names" (v1.19), by the numbers of its steps.
 */
export function createDiscovery(
  lookups: Lookups,
  caches: Pick<Caches, 'counted'>,
): (server: ServerName) => Promise<Endpoint> {
  const delegations = new Map<string, { to: string | undefined; until: number }>()
  const counted = caches.counted('well-known of servers', () => delegations.size)

  const delegated = async (host: string): Promise<string | undefined> => {
    const known = delegations.get(host)
    if (known && known.until > lookups.now()) {
      counted.hits++
      return known.to
    }
    counted.misses++
    const answer = await lookups.wellKnown(host)
    const to = delegateIn(answer?.body)
    const life = to === undefined ? failureCache : lifeOf(answer!.cacheControl)
    if (delegations.size >= mostHosts) delegations.clear()
    delegations.set(host, { to, until: lookups.now() + life })
    return to
  }

  return async (server) => {
    const { host, port } = split(server)
    // 1 and 2: an IP literal, or a name with a port.
    if (isIP(bare(host)) !== 0) return { host: bare(host), port: port ?? defaultPort, hostHeader: server }
    if (port !== undefined) return { host, port, hostHeader: server }
    // 3: what the well-known file names.
    const delegate = await delegated(host)
    if (delegate !== undefined) {
      const to = split(delegate)
      if (isIP(bare(to.host)) !== 0) {
        return { host: bare(to.host), port: to.port ?? defaultPort, hostHeader: delegate }
      }
      if (to.port !== undefined) return { host: to.host, port: to.port, hostHeader: delegate }
      return (await bySrv(lookups, to.host)) ?? { host: to.host, port: defaultPort, hostHeader: delegate }
    }
    // 4 to 6: SRV records, or else port 8448.
    return (await bySrv(lookups, host)) ?? { host, port: defaultPort, hostHeader: server }
  }
}

async function bySrv(lookups: Lookups, host: string): Promise<Endpoint | undefined> {
  for (const service of ['_matrix-fed._tcp', '_matrix._tcp']) {
    const records = await lookups.srv(`${service}.${host}`)
    const [best] = [...records].sort((one, other) => one.priority - other.priority || other.weight - one.weight)
    if (best && best.name !== '' && best.name !== '.') return { host: best.name, port: best.port, hostHeader: host }
  }
  return undefined
}

function delegateIn(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const name = (body as { readonly [key: string]: unknown })['m.server']
  return typeof name === 'string' ? parseServerName(name) : undefined
}

function lifeOf(cacheControl: string | undefined): number {
  const match = /(?:^|[\s,])max-age=(\d{1,12})/i.exec(cacheControl ?? '')
  const life = match === null ? defaultCache : Number(match[1]) * 1000
  return Math.min(Math.max(life, MIN_WELL_KNOWN_CACHE_MS), MAX_WELL_KNOWN_CACHE_MS)
}

function split(name: string): { host: string; port: number | undefined } {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(name)!
  return { host: match[1]!, port: match[2] === undefined ? undefined : Number(match[2]) }
}

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
