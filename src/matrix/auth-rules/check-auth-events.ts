import type { RoomEvent } from '../event.ts'
import type { RoomRules } from '../room-versions.ts'
import { authTypesFor } from './auth-types.ts'
import { ALLOW, reject, type Verdict } from './verdict.ts'

/**
 * Whether the events an event cites in `auth_events` may be cited. All of them must be given; from room version 12 on
 * whether the create event, which is not among them, was accepted is for the caller to know.
 *
 * Spec: room versions, "Authorisation rules": "Considering the event's auth_events" (v1.19).
 */
export function checkAuthEvents(
  event: RoomEvent,
  authEvents: readonly { readonly event: RoomEvent; readonly rejected: boolean }[],
  rules: RoomRules,
): Verdict {
  // The create event was allowed or rejected before this rule.
  if (event.pdu.type === 'm.room.create') return ALLOW
  const { type, sender, state_key: stateKey, content } = event.pdu
  const selection = authTypesFor({ type, sender, stateKey, content }, rules)
  const seen = new Set<string>()
  let hasCreate = false
  for (const { event: cited, rejected } of authEvents) {
    const citedType = cited.pdu.type
    const citedKey = cited.pdu.state_key
    // "If there are duplicate entries for a given type and state_key pair, reject."
    const pair = `${citedType}\0${citedKey}`
    if (seen.has(pair)) return reject(`auth_events has two events of type ${citedType} for one state key`)
    seen.add(pair)
    // "If there are entries whose type and state_key don't match those specified by the auth events selection algorithm
    // described in the server specification, reject."
    if (!selection.some(([ofType, ofKey]) => ofType === citedType && ofKey === citedKey)) {
      return reject(`auth_events has an event of type ${citedType} that does not belong there`)
    }
    // "If there are entries which were themselves rejected under the checks performed on receipt of a PDU, reject."
    if (rejected) return reject('auth_events has a rejected event')
    // "If any event in auth_events has a room_id which does not match that of the event being authorised, reject."
    if (cited.roomId !== event.roomId) return reject('auth_events has an event of another room')
    hasCreate ||= citedType === 'm.room.create'
  }
  // "If there is no m.room.create event among the entries, reject." Not from room version 12 on.
  if (!hasCreate && !rules.createEventIsRoomId) return reject('auth_events has no create event')
  return ALLOW
}
