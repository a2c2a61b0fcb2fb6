import { fitsAnId, parseUserId, type RoomId, type UserId } from '../src/matrix/ids.ts'
import type { Json, JsonObject } from '../src/matrix/json.ts'
import { MAX_EVENT_BYTES } from '../src/matrix/limits.ts'
import type { RoomRules } from '../src/matrix/room-versions.ts'
import { stripped } from '../src/rooms/shown-state.ts'
import type { Federation } from './federation.ts'
import { checkPdu, isFederated } from './receive/check-pdu.ts'

/** Of what another server shows of a room; beyond that it is not for people to identify it. */
const mostEvents = 50
const mostBytes = 4 * MAX_EVENT_BYTES

/**
 * What another server shows of a room, as our clients may see it: what is badly formed is left out, and so is what is
 * signed badly where it comes as whole events, as it must from room version 12 on.
 *
 * Spec: Server-Server API, `PUT /invite`, `PUT /send_knock`; Client-Server API, "Stripped state" (v1.19).
 */
export async function strippedOf(
  federation: Federation,
  told: Json | undefined,
  roomId: RoomId,
  rules: RoomRules,
): Promise<JsonObject[]> {
  const shown: JsonObject[] = []
  let bytes = 0
  for (const one of Array.isArray(told) ? (told as readonly Json[]).slice(0, mostEvents) : []) {
    const stripped = strippedIn(one)
    if (stripped === undefined || !isFederated(federation, stripped.sender as UserId)) continue
    if (rules.createEventIsRoomId && (await checkPdu(federation, one, roomId, rules)).error !== undefined) continue
    bytes += Buffer.byteLength(JSON.stringify(stripped))
    if (bytes > mostBytes) break
    shown.push(stripped)
  }
  return shown
}

/**
 * Why what comes with an invite cannot be right; undefined when it can.
 *
 * Spec: Server-Server API, `PUT /_matrix/federation/v2/invite`: room versions 12 and later (v1.19).
 */
export async function inviteStateProblem(
  federation: Federation,
  told: Json | undefined,
  roomId: RoomId,
  rules: RoomRules,
): Promise<string | undefined> {
  if (!rules.createEventIsRoomId) return undefined
  if (!Array.isArray(told) || told.length > mostEvents) return 'invite_room_state is not a list of events'
  const checked = await Promise.all(told.map((one: Json) => checkPdu(federation, one, roomId, rules)))
  const bad = checked.find(({ error }) => error !== undefined)
  if (bad) return `invite_room_state: ${bad.error}`
  const hasCreate = checked.some(({ event }) => event?.pdu.type === 'm.room.create' && event.pdu.state_key === '')
  return hasCreate ? undefined : 'invite_room_state has no m.room.create'
}

function strippedIn(value: Json): JsonObject | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { type, state_key: stateKey, sender, content, origin_server_ts: ts } = value as JsonObject
  const isShowable =
    typeof type === 'string' &&
    fitsAnId(type) &&
    typeof stateKey === 'string' &&
    fitsAnId(stateKey) &&
    typeof sender === 'string' &&
    parseUserId(sender) !== undefined &&
    typeof content === 'object' &&
    content !== null &&
    !Array.isArray(content)
  if (!isShowable) return undefined
  // PostgreSQL cannot hold it.
  if (JSON.stringify([type, stateKey, content]).includes('\\u0000')) return undefined
  return stripped({
    type,
    sender,
    state_key: stateKey,
    content: content as JsonObject,
    ...(ts !== undefined && { origin_server_ts: ts }),
  })
}
