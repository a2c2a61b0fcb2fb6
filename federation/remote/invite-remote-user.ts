import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { stripped } from '../../src/rooms/shown-state.ts'
import type { Federation } from '../federation.ts'
import { isSignedBy } from '../receive/check-pdu.ts'
import { isAllowedByAcl } from '../server-acl.ts'
import { RemoteRefusal } from './client.ts'
import { objectOf } from './membership-template.ts'

/** Milliseconds: somebody waits for the answer. */
const patience = 30_000

/**
 * Has the server of an invited user sign the invite. Of the answer nothing but that signature is used.
 *
 * Spec: Server-Server API, "Inviting to a room" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN when the server refuses, or may not be in the room; M_UNSUPPORTED_ROOM_VERSION;
 * M_CONNECTION_FAILED.
 */
export async function inviteRemoteUser(
  federation: Federation,
  event: RoomEvent,
  room: HotRoom,
  shown: readonly RoomEvent[],
): Promise<RoomEvent> {
  const server = serverNameOf(event.pdu.state_key as UserId)
  if (!isAllowedByAcl(room, server)) throw new MatrixError('M_FORBIDDEN', 'The server is banned from this room')
  const answered = await askToSign(federation, server, event, room, shown).catch((error: unknown) => {
    throw reasonFor(error)
  })
  const signatures = objectOf(objectOf(objectOf(answered).signatures)[server])
  const ofServer = Object.entries(signatures).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  const own = event.pdu.signatures
  const pdu = { ...event.pdu, signatures: { ...own, [server]: { ...own[server], ...Object.fromEntries(ofServer) } } }
  const signed = { ...event, pdu }
  if (!(await isSignedBy(federation, signed, server, room.rules))) {
    throw new MatrixError('M_CONNECTION_FAILED', 'The server of the invited user has not signed the invite')
  }
  return signed
}

async function askToSign(
  { client }: Federation,
  server: ServerName,
  event: RoomEvent,
  { roomId, rules }: HotRoom,
  shown: readonly RoomEvent[],
): Promise<Json | undefined> {
  const pdu = event.pdu as unknown as JsonObject
  const place = `invite/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`
  const common = { method: 'PUT', origin: serverNameOf(event.pdu.sender), timeout: patience } as const
  try {
    const state = shown.map((one) => one.pdu as unknown as JsonObject)
    const body = { event: pdu, room_version: rules.version, invite_room_state: state }
    return (await client.send(server, { ...common, uri: `/_matrix/federation/v2/${place}`, body })).event
  } catch (error) {
    // "Senders which receive a 400 or 404 response to this endpoint should retry using the v1 API … if the room version is
    // "1" or "2"."
    const mayBeOld = error instanceof RemoteRefusal && (error.status === 400 || error.status === 404)
    if (!mayBeOld || rules.eventFormat !== 'v1') throw error
    const body = { ...pdu, unsigned: { invite_room_state: shown.map((one) => stripped(one.pdu)) } }
    return (await client.send(server, { ...common, uri: `/_matrix/federation/v1/${place}`, body, inPair: true })).event
  }
}

function reasonFor(error: unknown): unknown {
  if (!(error instanceof RemoteRefusal)) return error
  if (error.body.errcode === 'M_INCOMPATIBLE_ROOM_VERSION') {
    return new MatrixError('M_UNSUPPORTED_ROOM_VERSION', 'The server of the invited user does not support this room')
  }
  if (error.body.errcode === 'M_INVITE_BLOCKED') {
    return new MatrixError('M_INVITE_BLOCKED', 'The invited user does not take invites from you')
  }
  return error.status === 403
    ? new MatrixError('M_FORBIDDEN', 'The server of the invited user refuses the invite')
    : new MatrixError('M_CONNECTION_FAILED', 'The server of the invited user does not take the invite')
}
