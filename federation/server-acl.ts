import { MatrixError } from '../src/matrix/errors.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import type { Json, JsonObject } from '../src/matrix/json.ts'
import type { HotRoom } from '../src/rooms/hot-room.ts'
import { compileServerGlobs } from './server-globs.ts'

type Acl = (server: ServerName) => boolean

/** Compiled once for each content, which is never changed. */
const compiled = new WeakMap<JsonObject, Acl>()

/**
 * Whether a room lets a server take part.
 *
 * Spec: Client-Server API, "Server Access Control Lists (ACLs) for rooms" (v1.19).
 */
export function isAllowedByAcl(room: HotRoom, server: ServerName): boolean {
  const content = room.get('m.room.server_acl', '')?.pdu.content
  if (content === undefined) return true
  let acl = compiled.get(content)
  if (acl === undefined) compiled.set(content, (acl = compile(content)))
  return acl(server)
}

/** @throws MatrixError M_FORBIDDEN */
export function refuseByAcl(room: HotRoom, server: ServerName): void {
  if (!isAllowedByAcl(room, server)) throw new MatrixError('M_FORBIDDEN', 'The server is banned from this room')
}

function compile(content: JsonObject): Acl {
  const allowed = compileServerGlobs(texts(content.allow))
  const denied = compileServerGlobs(texts(content.deny))
  const refusesLiterals = content.allow_ip_literals === false
  return (server) => {
    const host = server.startsWith('[') ? server.slice(0, server.indexOf(']') + 1) : server.replace(/:\d+$/, '')
    if (refusesLiterals && (host.startsWith('[') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host))) return false
    return !denied(host) && allowed(host)
  }
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}
