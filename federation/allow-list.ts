import type { Config } from '../src/config.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import { compileServerGlobs } from './server-globs.ts'

/** Which servers this deployment has to do with at all. */
export type AllowList = { allows(server: ServerName): boolean }

/** Nobody while `allow` is empty; `deny` wins. */
export function createAllowList(config: Pick<Config['federation'], 'allow' | 'deny'>): AllowList {
  const allowed = compileServerGlobs(config.allow)
  const denied = compileServerGlobs(config.deny)
  return { allows: (server) => allowed(server) && !denied(server) }
}
