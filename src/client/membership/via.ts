import { parseServerName, type ServerName } from '../../matrix/ids.ts'

/** The servers a client suggests to reach a room through: `via`, or as it was called before, `server_name`. */
export function serversIn(query: {
  readonly via?: readonly string[]
  readonly server_name?: readonly string[]
}): ServerName[] {
  return [...(query.via ?? []), ...(query.server_name ?? [])].flatMap((name) => parseServerName(name) ?? [])
}
