import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import type { TakenMembership } from '../../src/rooms/ports.ts'
import type { Federation } from '../federation.ts'
import { strippedOf } from '../stripped-state.ts'
import { RemoteRefusal } from './client.ts'
import { makeMembership, type WantedMembership } from './membership-template.ts'
import { tryServers } from './try-servers.ts'

/**
 * Knocks on a room that this deployment is not in, or leaves one that a user was invited to or knocks on.
 *
 * Spec: Server-Server API, "Knocking upon a room", "Leaving Rooms (Rejecting Invites)" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION; M_NOT_FOUND when none of the servers helps.
 */
export function sendOwnMembership(
  federation: Federation,
  membership: 'knock' | 'leave',
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
  content: JsonObject,
): Promise<TakenMembership> {
  const wanted = { membership, roomId, userId, content }
  return tryServers(federation, roomId, via, (server) => sendThrough(federation, server, wanted))
}

async function sendThrough(
  federation: Federation,
  server: ServerName,
  wanted: WantedMembership,
): Promise<TakenMembership> {
  const { event, rules } = await makeMembership(federation, server, wanted)
  const { membership, roomId, userId } = wanted
  const place = `send_${membership}/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`
  const body = event.pdu as unknown as JsonObject
  const request = { method: 'PUT', body, origin: serverNameOf(userId) } as const
  const send = (version: 'v1' | 'v2') => {
    const uri = `/_matrix/federation/${version}/${place}`
    return federation.client.send(server, { ...request, uri, inPair: version === 'v1' && membership === 'leave' })
  }
  const answer =
    membership === 'knock' ? await send('v1') : await send('v2').catch((error) => retriedAsV1(error, () => send('v1')))
  const stripped = await strippedOf(federation, answer.knock_room_state, roomId, rules)
  return { event, roomVersion: rules.version, stripped, server }
}

/** Servers that do not know the second version of an operation know the first. */
function retriedAsV1(error: unknown, retry: () => Promise<JsonObject>): Promise<JsonObject> {
  if (error instanceof RemoteRefusal && error.status === 404 && error.body.errcode !== 'M_NOT_FOUND') return retry()
  throw error
}
