import type { Context } from '../context.ts'
import { type AuthState, authTypesFor, checkAuth, checkAuthEvents, type Verdict } from '../matrix/auth-rules/index.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { stateKeyOf } from '../matrix/state-res/state-map.ts'
import type { HotRoom } from './hot-room.ts'
import type { StateTuple } from './hot-rooms.ts'
import { entriesIn, type RoomState } from './state-at.ts'

/** An event that another cites. */
export type CitedAuthEvent = { readonly event: RoomEvent; readonly rejected: boolean }

/** All keys of a state that the authorisation rules may ask for about an event. */
export function authKeysOf({ pdu }: RoomEvent, rules: RoomRules): StateTuple[] {
  const { type, sender, state_key: stateKey, content } = pdu
  const types = authTypesFor({ type, sender, stateKey, content }, rules)
  return [...types, ['m.room.create', ''], ['m.room.power_levels', ''], ['m.room.member', sender]]
}

/**
 * Whether an event is allowed by the events it cites.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 4.
 *
 * @param create The create event, which from room version 12 on is not cited.
 */
export function checkCitedAuth(
  event: RoomEvent,
  cited: readonly CitedAuthEvent[],
  create: RoomEvent | undefined,
  rules: RoomRules,
): Verdict {
  const list = checkAuthEvents(event, cited, rules)
  if (!list.allowed) return list
  return checkAuth(event, citedState(cited, create, rules), rules)
}

function citedState(cited: readonly CitedAuthEvent[], create: RoomEvent | undefined, rules: RoomRules): AuthState {
  const state = new Map<string, RoomEvent>()
  if (rules.createEventIsRoomId && create) state.set(stateKeyOf('m.room.create', ''), create)
  for (const { event } of cited) state.set(stateKeyOf(event.pdu.type, event.pdu.state_key ?? ''), event)
  return { get: (type, stateKey) => state.get(stateKeyOf(type, stateKey)) }
}

/**
 * The part of a state that the authorisation rules may ask for about an event. A membership that is not known yet is what
 * the event cites for it.
 */
export async function authStateIn(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events'>,
  room: HotRoom,
  state: RoomState,
  event: RoomEvent,
  cited: readonly CitedAuthEvent[],
): Promise<AuthState> {
  const { entries, unknown } = await entriesIn(ctx, room, state, authKeysOf(event, room.rules))
  const fallback = unknown.length === 0 ? undefined : citedState(cited, undefined, room.rules)
  return {
    get(type, stateKey) {
      const key = stateKeyOf(type, stateKey)
      return entries.get(key)?.event ?? (unknown.includes(key) ? fallback?.get(type, stateKey) : undefined)
    },
  }
}

/** Whether the database can hold what an event says it is: its text columns have no NUL and no half of a character. */
export function isStorable({ pdu }: RoomEvent): boolean {
  const texts = [pdu.type, pdu.sender, pdu.state_key ?? '']
  return texts.every((text) => text.isWellFormed() && !text.includes('\0'))
}
