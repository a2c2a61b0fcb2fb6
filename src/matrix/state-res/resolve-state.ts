import type { EventId } from '../ids.ts'
import type { RoomRules } from '../room-versions.ts'
import type { LoadedEvent, StateMap } from './state-map.ts'
import { resolveV1 } from './v1.ts'
import { resolveV2 } from './v2.ts'

/**
 * The resolution of a set of room states, by the algorithm of the room's version, in its plain form. Needs every event of
 * every auth chain; the server itself resolves with `planResolution` and `resolvePlanned`.
 *
 * Spec: Server-Server API, "Room State Resolution" (v1.19).
 *
 * @throws {Error} when `lookup` does not know an event it is asked for
 */
export function resolveState(
  rules: RoomRules,
  sets: readonly StateMap[],
  lookup: (eventId: EventId) => LoadedEvent | undefined,
): StateMap {
  return rules.stateResolution === 'v1' ? resolveV1(rules, sets, lookup) : resolveV2(rules, sets, lookup)
}
