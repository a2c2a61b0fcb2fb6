import type { Context } from '../context.ts'
import { decodeBase64 } from '../matrix/base64.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { Pdu, RoomEvent } from '../matrix/event.ts'
import { parseServerName, type ServerName } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { POLICY_SERVER_KEY_ID, signEvent, verifyEvent } from '../matrix/signatures.ts'
import { isServerInRoom } from '../storage/destinations.ts'
import type { HotRoom } from './hot-room.ts'
import { objectionTo } from './judge-event.ts'

/** The server that says which events it recommends for a room. */
export type PolicyServer = {
  readonly server: ServerName
  /** What the room takes its signatures by; undefined for a text that is no key, by which nothing can be recommended. */
  readonly publicKey: Buffer | undefined
}

/** What says which policy server a room has is not asked about: a room can always be rid of it. */
export function isPolicyItself({ type, state_key: stateKey }: Pick<Pdu, 'type' | 'state_key'>): boolean {
  return type === 'm.room.policy' && stateKey === ''
}

/**
 * The policy server that a room uses now.
 *
 * Spec: Server-Server API, "Determining if a Policy Server is enabled in a room" (v1.19).
 */
export async function policyServerOf(
  { database, domains }: Pick<Context, 'database' | 'domains'>,
  room: HotRoom,
): Promise<PolicyServer | undefined> {
  const content = room.get('m.room.policy', '')?.pdu.content
  const policy = content && policyServerIn(content)
  // Nobody who asks a domain of ours that is no policy server would get a signature.
  if (!policy || (domains.isLocal(policy.server) && !domains.policyKeyOf(policy.server))) return undefined
  const [found] = await database.read(isServerInRoom, [room.room, policy.server])
  return found ? policy : undefined
}

/**
 * The event with the signature of the room's policy server, if it needs one.
 *
 * @throws MatrixError what the policy server refuses it with; M_CONNECTION_FAILED.
 */
export async function withRecommendation(
  ctx: Pick<Context, 'config' | 'database' | 'domains' | 'remoteServers'>,
  room: HotRoom,
  event: RoomEvent,
): Promise<RoomEvent> {
  const policy = isPolicyItself(event.pdu) ? undefined : await policyServerOf(ctx, room)
  if (!policy) return event
  return ctx.domains.isLocal(policy.server)
    ? recommendHere(ctx, event, room.rules, policy)
    : ctx.remoteServers.current.recommend(event, room.rules, policy)
}

/**
 * The event with the signature of a domain of ours that is the room's policy server.
 *
 * @throws MatrixError M_FORBIDDEN with 400 for what it does not recommend, and where the room has another key for it.
 */
export function recommendHere(
  { config, domains }: Pick<Context, 'config' | 'domains'>,
  event: RoomEvent,
  rules: RoomRules,
  policy: PolicyServer,
): RoomEvent {
  const objection = objectionTo(event.pdu.content, config.policy_server)
  if (objection !== undefined) throw new MatrixError('M_FORBIDDEN', objection, { status: 400 })
  const key = domains.policyKeyOf(policy.server)!
  const signed = { ...event, pdu: signEvent(event.pdu, policy.server, key, rules) }
  if (isRecommended(signed, policy, rules)) return signed
  throw new MatrixError('M_FORBIDDEN', 'The room has another key for its policy server', { status: 400 })
}

/** The policy server that the content of `m.room.policy` names, whether it is in the room or not. */
export function policyServerIn(content: JsonObject): PolicyServer | undefined {
  const { via, public_keys: keys } = content
  const key = isObject(keys) && Object.hasOwn(keys, 'ed25519') ? keys.ed25519 : undefined
  const server = typeof via === 'string' ? parseServerName(via) : undefined
  if (server === undefined || typeof key !== 'string') return undefined
  const bytes = decodeBase64(key)
  return { server, publicKey: bytes?.length === 32 ? bytes : undefined }
}

/** Spec: Server-Server API, "Validating Policy Server signatures" (v1.19). */
export function isRecommended({ pdu }: RoomEvent, { server, publicKey }: PolicyServer, rules: RoomRules): boolean {
  return publicKey !== undefined && verifyEvent(pdu, server, POLICY_SERVER_KEY_ID, publicKey, rules)
}

/** The event with a signature of a policy server beside those it has, which may be of the same server. */
export function withPolicySignature(event: RoomEvent, server: ServerName, signature: string): RoomEvent {
  const { signatures } = event.pdu
  const ofServer = { ...signatures[server], [POLICY_SERVER_KEY_ID]: signature }
  return { ...event, pdu: { ...event.pdu, signatures: { ...signatures, [server]: ofServer } } }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
