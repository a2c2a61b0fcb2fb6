import type { Domains } from '../domains.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { DEFAULT_REMOTE_TIMEOUT_MS, MAX_REMOTE_TIMEOUT_MS } from './limits.ts'

/** What was asked of our own users, and of those of each other server. */
export function splitByServer<Value>(
  domains: Domains,
  users: ReadonlyMap<UserId, Value>,
): { local: Map<UserId, Value>; remote: Map<ServerName, Map<UserId, Value>> } {
  const local = new Map<UserId, Value>()
  const remote = new Map<ServerName, Map<UserId, Value>>()
  for (const [userId, value] of users) {
    const server = serverNameOf(userId)
    if (domains.isLocal(server)) {
      local.set(userId, value)
      continue
    }
    const ofServer = remote.get(server)
    if (ofServer) ofServer.set(userId, value)
    else remote.set(server, new Map([[userId, value]]))
  }
  return { local, remote }
}

/** Milliseconds to wait for other servers. */
export function remoteTimeout(asked: number | undefined): number {
  return Math.min(Math.max(asked ?? DEFAULT_REMOTE_TIMEOUT_MS, 0), MAX_REMOTE_TIMEOUT_MS)
}

/** `failures` of an answer, as JSON text. */
export function failuresText(servers: readonly ServerName[]): string {
  const failure = '{"errcode":"M_UNKNOWN","error":"The server cannot be reached"}'
  return `{${servers.map((server) => `${JSON.stringify(server)}:${failure}`).join(',')}}`
}
