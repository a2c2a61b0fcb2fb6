import type { Pdu, RoomEvent } from '../event.ts'
import type { EventId, RoomId, UserId } from '../ids.ts'
import type { JsonObject } from '../json.ts'
import { type RoomRules, type RoomVersion, roomRules, supportedRoomVersions } from '../room-versions.ts'
import type { AuthState } from './verdict.ts'

/** Events and states for tests of the rules, unsigned and with ids that hash nothing. */
export const ALICE = '@alice:a.example'
export const BOB = '@bob:b.example'
export const CAROL = '@carol:c.example'

export const CREATE_ID: EventId = `$${'c'.repeat(43)}`

export type EventInput = {
  readonly type: string
  readonly sender?: UserId
  readonly stateKey?: string
  readonly content?: JsonObject
  readonly eventId?: EventId
  readonly roomId?: RoomId
  readonly prevEvents?: readonly EventId[]
  readonly signedBy?: readonly string[]
  readonly redacts?: EventId
}

export function roomIdFor(rules: RoomRules): RoomId {
  return rules.createEventIsRoomId ? `!${CREATE_ID.slice(1)}` : '!room:a.example'
}

export function event(rules: RoomRules, input: EventInput): RoomEvent {
  const { type, sender = ALICE, stateKey, content = {}, redacts } = input
  const isCreate = type === 'm.room.create'
  const roomId = input.roomId ?? roomIdFor(rules)
  const prevEvents = input.prevEvents ?? (isCreate ? [] : ['$previous:a.example'])
  const signatures = Object.fromEntries((input.signedBy ?? []).map((name) => [name, { 'ed25519:1': 'AAAA' }]))
  const pdu: Pdu = {
    type,
    sender,
    content,
    origin_server_ts: 1,
    depth: 1,
    prev_events: prevEvents,
    auth_events: [],
    hashes: { sha256: '' },
    signatures,
    ...(isCreate && rules.createEventIsRoomId ? undefined : { room_id: roomId }),
    ...(stateKey === undefined ? undefined : { state_key: stateKey }),
    ...(redacts === undefined ? undefined : { redacts }),
  }
  const eventId = input.eventId ?? (isCreate ? CREATE_ID : `$${type}-${stateKey}:a.example`)
  return { eventId, roomId, prevEvents, authEvents: [], pdu }
}

export type StateInput = {
  readonly create?: JsonObject
  readonly members?: { readonly [userId: string]: string }
  readonly joinRule?: string
  readonly levels?: JsonObject
  readonly others?: readonly RoomEvent[]
}

/** A room that Alice created. */
export function stateOf(rules: RoomRules, input: StateInput = {}): AuthState {
  const events = [
    event(rules, { type: 'm.room.create', stateKey: '', content: input.create ?? { creator: ALICE } }),
    ...Object.entries(input.members ?? { [ALICE]: 'join' }).map(([userId, membership]) =>
      event(rules, { type: 'm.room.member', sender: userId as UserId, stateKey: userId, content: { membership } }),
    ),
    ...(input.joinRule === undefined
      ? []
      : [event(rules, { type: 'm.room.join_rules', stateKey: '', content: { join_rule: input.joinRule } })]),
    ...(input.levels === undefined
      ? []
      : [event(rules, { type: 'm.room.power_levels', stateKey: '', content: input.levels })]),
    ...(input.others ?? []),
  ]
  const byKey = new Map(events.map((each) => [`${each.pdu.type}\0${each.pdu.state_key}`, each]))
  return { get: (type, stateKey) => byKey.get(`${type}\0${stateKey}`) }
}

/** The rules of the versions from `first` to `last`. */
export function versions(first: number, last = 12): readonly RoomRules[] {
  return supportedRoomVersions
    .filter((version) => Number(version) >= first && Number(version) <= last)
    .map((version) => roomRules(version as RoomVersion))
}
