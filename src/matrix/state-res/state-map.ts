import type { RoomEvent } from '../event.ts'
import type { EventId } from '../ids.ts'

/** A type and a state key in one string that no other pair has. */
export type StateKey = string & { readonly __stateKey?: never }

export type StateMap = ReadonlyMap<StateKey, EventId>

/** An event as state resolution sees it. `rejected` is the verdict of the checks on receipt of a PDU. */
export type LoadedEvent = { readonly event: RoomEvent; readonly rejected: boolean }

/** The key of a state entry. The length keeps pairs apart whatever characters they contain. */
export function stateKeyOf(type: string, stateKey: string): StateKey {
  return `${type.length}:${type}:${stateKey}`
}

/** The pair a key was made of. */
export function typeAndStateKeyOf(key: StateKey): readonly [type: string, stateKey: string] {
  const colon = key.indexOf(':')
  const end = colon + 1 + Number(key.slice(0, colon))
  return [key.slice(colon + 1, end), key.slice(end + 1)]
}

export const CREATE_KEY = stateKeyOf('m.room.create', '')
export const POWER_LEVELS_KEY = stateKeyOf('m.room.power_levels', '')
export const JOIN_RULES_KEY = stateKeyOf('m.room.join_rules', '')
