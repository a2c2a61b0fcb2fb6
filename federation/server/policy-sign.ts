import type { Endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import { hasValidContentHash } from '../../src/matrix/hashes.ts'
import { parseRoomId, type ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { POLICY_SERVER_KEY_ID } from '../../src/matrix/signatures.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { isPolicyItself, type PolicyServer, policyServerOf, recommendHere } from '../../src/rooms/policy-server.ts'
import type { Federation } from '../federation.ts'
import { checkPdu } from '../receive/check-pdu.ts'
import { refuseByAcl } from '../server-acl.ts'
import { federationEndpoint } from './federation-endpoint.ts'
import { isInRoom } from './room-access.ts'

/**
 * Signs what a domain of ours recommends for a room that has it as its policy server.
 *
 * Spec: Server-Server API, `POST /_matrix/policy/v1/sign` (v1.19).
 *
 * Errors: M_NOT_FOUND for rooms that it does not guard; M_FORBIDDEN with 400 for what it does not recommend, with 403
 * for servers that the room bans; M_BAD_JSON for what is no event that its sender's server has signed.
 */
export function policySign(federation: Federation): Endpoint[] {
  if (!federation.ctx.config.policy_server.enabled) return []
  const sign = federationEndpoint(federation, {
    method: 'post',
    path: '/_matrix/policy/v1/sign',
    async handle({ origin, destination, body }) {
      const { room, policy } = await guardedRoom(federation, body.room_id, { origin, destination })
      refuseByAcl(room, origin)
      const parsed = parseEvent(body, room.rules)
      if ('error' in parsed) throw new MatrixError('M_BAD_JSON', parsed.error)
      if (isPolicyItself(parsed.event.pdu)) throw new MatrixError('M_BAD_JSON', 'This needs no signature')
      // Of an event with another hash only the redacted form would be judged, and the whole would be shown.
      if (!hasValidContentHash(parsed.event.pdu)) throw new MatrixError('M_BAD_JSON', 'The content hash is wrong')
      const checked = await checkPdu(federation, body, room.roomId, room.rules)
      if (checked.error !== undefined) throw new MatrixError('M_BAD_JSON', checked.error)
      const signed = recommendHere(federation.ctx, checked.event, room.rules, policy)
      const signature = signed.pdu.signatures[policy.server]![POLICY_SERVER_KEY_ID]!
      return { [policy.server]: { [POLICY_SERVER_KEY_ID]: signature } }
    },
  })
  return [sign]
}

/**
 * The room, for a server that is in it: whoever is not has nobody there to ask for, and learns nothing.
 *
 * @throws MatrixError M_NOT_FOUND
 */
async function guardedRoom(
  { ctx }: Federation,
  name: JsonObject[string] | undefined,
  { origin, destination }: { readonly origin: ServerName; readonly destination: ServerName },
): Promise<{ room: HotRoom; policy: PolicyServer }> {
  const roomId = typeof name === 'string' ? parseRoomId(name) : undefined
  const room = roomId && (await ctx.hotRooms.get(roomId))
  const policy = room && (await policyServerOf(ctx, room))
  const isGuarded = policy?.server === destination && (await isInRoom(ctx, room!, origin))
  if (!isGuarded) throw new MatrixError('M_NOT_FOUND', 'This server does not guard such a room')
  return { room: room!, policy: policy! }
}
