import { LRUCache } from 'lru-cache'
import type { Config } from '../src/config.ts'
import type { Context } from '../src/context.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import type { FederationMetrics } from './federation-metrics.ts'
import { compileServerGlobs } from './server-globs.ts'

/** Where a server is looked up: what it asks of us, what is asked of it, or what is told of its users. */
export type Edge =
  | 'request'
  | 'outbound'
  | 'media'
  | 'keys'
  | 'event'
  | 'join'
  | 'history'
  | 'hierarchy'
  | 'members'
  | 'sending'

export type AllowRules = Pick<Config['federation'], 'allow' | 'deny' | 'dry_run'>

/** Which servers this deployment has to do with at all. */
export type AllowList = {
  /** Counts who is not. In a dry run everybody is, and it is logged who would not be. */
  allows(server: ServerName, edge: Edge): boolean
  /** From here on other rules hold. */
  replace(rules: AllowRules): void
}

/** Milliseconds for which the same server is not logged again at the same edge. */
const logsAgainAfter = 60_000
const mostLogged = 1_000

/** Nobody while `allow` is empty; `deny` wins. */
export function createAllowList(
  { log }: Pick<Context, 'log'>,
  metrics: Pick<FederationMetrics, 'barred'>,
  rules: AllowRules,
): AllowList {
  let current = compile(rules)
  const logged = new LRUCache<string, true>({ max: mostLogged, ttl: logsAgainAfter })

  const bar = (server: ServerName, edge: Edge, rule: 'allow' | 'deny'): boolean => {
    const { isDryRun } = current
    metrics.barred(rule, edge, isDryRun)
    const key = `${edge} ${server}`
    if (isDryRun && !logged.has(key)) {
      logged.set(key, true)
      log.warn({ server, edge, rule }, 'A server would be refused, were this no dry run')
    }
    return isDryRun
  }

  return {
    allows(server, edge) {
      if (current.denied(server)) return bar(server, edge, 'deny')
      return current.allowed(server) || bar(server, edge, 'allow')
    },
    replace(changed) {
      current = compile(changed)
      logged.clear()
    },
  }
}

function compile({ allow, deny, dry_run: isDryRun }: AllowRules) {
  return { allowed: compileServerGlobs(allow), denied: compileServerGlobs(deny), isDryRun }
}
