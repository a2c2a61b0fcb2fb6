import type { RoomEvent } from '../event.ts'
import { parseUserId, type ServerName, serverNameOf } from '../ids.ts'
import type { RoomRules } from '../room-versions.ts'

/**
 * The servers that must have signed an event, without duplicates. An event without a valid signature of each is dropped;
 * the rules of authorisation take for granted that they are valid.
 *
 * Spec: Server-Server API, "Validating hashes and signatures on received events"; room version 8, "Authorisation rules",
 * 4.2 (v1.19).
 */
export function requiredSigners(event: RoomEvent, rules: RoomRules): readonly ServerName[] {
  const { pdu } = event
  const signers = new Set<ServerName>()
  // "unless the event is a 3rd party invite, only the signature(s) from the originating server (the server the sender
  // belongs to) are required"
  if (!isThirdPartyInvite(event)) signers.add(serverNameOf(pdu.sender))
  // "Room versions 1 and 2 also require that a signature is present from the domain in the event_id"
  const eventIdServer = rules.eventFormat === 'v1' ? serverNameOf(event.eventId) : undefined
  if (eventIdServer !== undefined) signers.add(eventIdServer)
  // "If the event is not validly signed by the homeserver of the user ID denoted by the key, reject."
  const authoriser = authorisingServer(event, rules)
  if (authoriser !== undefined) signers.add(authoriser)
  return [...signers]
}

/** The server that vouches for a restricted join; undefined also for a value that is not a user id. */
export function authorisingServer(event: RoomEvent, rules: RoomRules): ServerName | undefined {
  const { content, type } = event.pdu
  const userId = content.join_authorised_via_users_server
  if (!rules.auth.restrictedJoin || type !== 'm.room.member' || typeof userId !== 'string') return undefined
  const parsed = parseUserId(userId)
  return parsed === undefined ? undefined : serverNameOf(parsed)
}

function isThirdPartyInvite({ pdu }: RoomEvent): boolean {
  const { content, type } = pdu
  return type === 'm.room.member' && content.membership === 'invite' && Object.hasOwn(content, 'third_party_invite')
}
