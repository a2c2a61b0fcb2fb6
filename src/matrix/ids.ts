import { MAX_DNS_NAME_BYTES, MAX_ID_BYTES, MAX_OWNED_STATE_KEY_BYTES } from './limits.ts'

/**
 * Identifiers as template types. A value of one of these types has passed its `parse…` function, or was made by the
 * server itself.
 *
 * Spec: Appendices, "Identifier Grammar" (v1.19).
 */
export type ServerName = string & { readonly __serverName?: never }
export type UserId = `@${string}`
export type RoomId = `!${string}`
export type EventId = `$${string}`
export type RoomAlias = `#${string}`

/** What a localpart or an opaque id may not contain besides lone surrogates. */
const NUL = '\0'

/**
 * Also accepts the historical user ids that servers must go on accepting: any localpart of code points other than `:`
 * and NUL, even an empty one. For names of new users see {@link isValidNewLocalpart}.
 *
 * Spec: Appendices, "User Identifiers" and "Historical User IDs".
 */
export function parseUserId(text: string): UserId | undefined {
  return text.startsWith('@') && isLocalpartAndDomain(text) ? (text as UserId) : undefined
}

/**
 * Either `!opaque:domain`, or from room version 12 on the create event's id with `!` for its sigil.
 *
 * Spec: Appendices, "Room IDs".
 */
export function parseRoomId(text: string): RoomId | undefined {
  if (!text.startsWith('!')) return undefined
  return isLocalpartAndDomain(text) || /^![A-Za-z0-9_-]{43}$/.test(text) ? (text as RoomId) : undefined
}

/**
 * Event ids are opaque to all but the room version that made them, so only the common rules are checked.
 *
 * Spec: Appendices, "Event IDs".
 */
export function parseEventId(text: string): EventId | undefined {
  if (!text.startsWith('$') || text.length < 2) return undefined
  return fitsAnId(text) && text.isWellFormed() && !text.includes(NUL) ? (text as EventId) : undefined
}

/** Spec: Appendices, "Room Aliases". */
export function parseRoomAlias(text: string): RoomAlias | undefined {
  return text.startsWith('#') && isLocalpartAndDomain(text) ? (text as RoomAlias) : undefined
}

/**
 * A DNS name, an IPv4 literal or an IPv6 literal in brackets, with or without a port of one to five digits.
 *
 * Spec: Appendices, "Server Name".
 */
export function parseServerName(text: string): ServerName | undefined {
  const portColon = text.startsWith('[') ? text.indexOf(']') + 1 : text.indexOf(':')
  const hasPort = portColon > 0 && portColon < text.length
  if (hasPort && !/^:[0-9]{1,5}$/.test(text.slice(portColon))) return undefined
  return isHostname(hasPort ? text.slice(0, portColon) : text) ? (text as ServerName) : undefined
}

/**
 * The domain of an identifier. Event ids have one in room versions 1 and 2 only, room ids until version 11.
 *
 * Spec: Appendices, "Common Identifier Format".
 */
export function serverNameOf(id: UserId | RoomAlias): ServerName
export function serverNameOf(id: RoomId | EventId): ServerName | undefined
export function serverNameOf(id: UserId | RoomAlias | RoomId | EventId): ServerName | undefined {
  const colon = id.indexOf(':')
  return colon < 0 ? undefined : id.slice(colon + 1)
}

/** What is between the sigil and the first colon. */
export function localpartOf(id: UserId | RoomAlias): string {
  return id.slice(1, id.indexOf(':'))
}

/**
 * Whether the localpart is at least printable ASCII. Others are accepted in events, but should not be passed on to clients
 * outside of one. Spec: Appendices, "Historical User IDs".
 */
export function isCompliantUserId(id: UserId): boolean {
  return /^[!-~]+$/.test(localpartOf(id))
}

/** Whether a user may be created with this localpart; older ones may have others. Spec: Appendices, "User Identifiers". */
export function isValidNewLocalpart(text: string): boolean {
  return /^[a-z0-9._=\-/+]+$/.test(text)
}

function isLocalpartAndDomain(id: string): boolean {
  const colon = id.indexOf(':')
  if (colon < 1 || !fitsAnId(id) || !id.isWellFormed() || id.includes(NUL)) return false
  return parseServerName(id.slice(colon + 1)) !== undefined
}

/** A UTF-16 unit is at most three bytes of UTF-8, so most ids need not be encoded to be measured. */
/** Whether the text is short enough for the state key of a room of these rules: see MSC3757 for the longer ones. */
export function fitsAStateKey(text: string, rules: { readonly auth: { readonly ownedState: boolean } }): boolean {
  return fitsAnId(text) || (rules.auth.ownedState && Buffer.byteLength(text) <= MAX_OWNED_STATE_KEY_BYTES)
}

export function fitsAnId(text: string): boolean {
  return text.length * 3 <= MAX_ID_BYTES || (text.length <= MAX_ID_BYTES && Buffer.byteLength(text) <= MAX_ID_BYTES)
}

function isHostname(host: string): boolean {
  if (host.startsWith('[')) return host.endsWith(']') && isIpv6(host.slice(1, -1))
  if (host.length === 0 || host.length > MAX_DNS_NAME_BYTES || !/^[A-Za-z0-9.-]+$/.test(host)) return false
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)
  return quad === null || quad.slice(1).every((octet) => Number(octet) <= 255)
}

/** RFC 3513, section 2.2: eight groups, of which one run may be `::` and the last two an IPv4 address. */
function isIpv6(text: string): boolean {
  if (text.length < 2 || text.length > 45) return false
  const halves = text.split('::')
  if (halves.length > 2) return false
  let groups = 0
  for (const [index, half] of halves.entries()) {
    if (half === '') continue
    const parts = half.split(':')
    for (const [position, part] of parts.entries()) {
      const isLast = index === halves.length - 1 && position === parts.length - 1
      if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups += 1
      else if (isLast && /^\d{1,3}(\.\d{1,3}){3}$/.test(part) && part.split('.').every((octet) => Number(octet) <= 255))
        groups += 2
      else return false
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8
}
