import { createEventIdOf, type RoomEvent } from '../event.ts'
import { type EventId, serverNameOf } from '../ids.ts'
import { type PowerLevels, powerLevelsOf } from '../power-levels.ts'
import type { RoomRules } from '../room-versions.ts'
import { checkCreate } from './create.ts'
import { checkMembership } from './membership.ts'
import { checkOwnedStateKey } from './owned-state.ts'
import { checkPowerLevels } from './power-levels.ts'
import { ALLOW, type AuthState, reject, type Verdict } from './verdict.ts'

/**
 * Whether the state allows the event. The state is that named by its `auth_events`, that before the event, or the
 * current one: the rules are the same. From room version 12 on it must contain the create event too, though no event
 * cites it, and only if that was accepted.
 *
 * The rule about the list of `auth_events` itself is {@link checkAuthEvents}. That the signatures are valid is taken for
 * granted: {@link requiredSigners} says whose.
 *
 * Spec: room versions, "Authorisation rules" (v1.19). The numbers are those of room version 12.
 */
export function checkAuth(event: RoomEvent, state: AuthState, rules: RoomRules): Verdict {
  const { pdu } = event
  // 1. "If type is m.room.create"
  if (pdu.type === 'm.room.create') return checkCreate(event, rules)

  const create = state.get('m.room.create', '')
  if (create === undefined) return reject('The room has no create event')
  // 2. "If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with the sigil !
  // instead of $, reject."
  if (rules.createEventIsRoomId && createEventIdOf(event.roomId) !== create.eventId) {
    return reject('The room id is not that of the create event')
  }

  // 4. "If the content of the m.room.create event in the room state has the property m.federate set to false, and the
  // sender domain of the event does not match the sender domain of the create event, reject."
  if (create.pdu.content['m.federate'] === false && serverNameOf(pdu.sender) !== serverNameOf(create.pdu.sender)) {
    return reject('The room is not federated')
  }

  // Room versions 1 to 5: "If type is m.room.aliases"
  if (pdu.type === 'm.room.aliases' && rules.auth.aliasesByServer) return checkAliases(event)

  const levels = powerLevelsOf(state.get('m.room.power_levels', '')?.pdu.content, create, rules)
  // 5. "If type is m.room.member"
  if (pdu.type === 'm.room.member') return checkMembership(event, { state, create, levels, rules })

  return checkOther(event, state, create, levels, rules)
}

function checkOther(
  event: RoomEvent,
  state: AuthState,
  create: RoomEvent,
  levels: PowerLevels,
  rules: RoomRules,
): Verdict {
  const { pdu } = event
  // 6. "If the sender's current membership state is not join, reject."
  if (state.get('m.room.member', pdu.sender)?.pdu.content.membership !== 'join') {
    return reject('The sender is not in the room')
  }

  const senderLevel = levels.userLevel(pdu.sender)
  // 7. "If type is m.room.third_party_invite: Allow if and only if sender's current power level is greater than or equal
  // to the invite level."
  if (pdu.type === 'm.room.third_party_invite') {
    return senderLevel >= levels.invite ? ALLOW : reject('The sender may not invite')
  }

  // 8. "If the event type's required power level is greater than the sender's power level, reject."
  if (levels.requiredFor(pdu.type, pdu.state_key !== undefined) > senderLevel) {
    return reject(`The sender may not send ${pdu.type}`)
  }

  // 9. "If the event has a state_key that starts with an @ and does not match the sender, reject."
  if (rules.auth.ownedState && pdu.state_key !== undefined) {
    const verdict = checkOwnedStateKey(pdu.state_key, pdu.sender, levels)
    if (!verdict.allowed) return verdict
  } else if (pdu.state_key?.startsWith('@') && pdu.state_key !== pdu.sender) {
    return reject('The state key is another user')
  }

  // 10. "If type is m.room.power_levels"
  if (pdu.type === 'm.room.power_levels') return checkPowerLevels(event, { state, create, senderLevel, rules })

  // Room versions 1 and 2: "If type is m.room.redaction"
  if (pdu.type === 'm.room.redaction' && rules.auth.checksRedactions) {
    return checkRedaction(event, senderLevel, levels)
  }

  // 11. "Otherwise, allow."
  return ALLOW
}

/** Spec: room version 1, "Authorisation rules", 4. */
function checkAliases({ pdu }: RoomEvent): Verdict {
  // "If event has no state_key, reject."
  if (pdu.state_key === undefined) return reject('Aliases are state')
  // "If sender's domain doesn't match state_key, reject."
  if (serverNameOf(pdu.sender) !== pdu.state_key) return reject('The aliases belong to another server')
  // "Otherwise, allow."
  return ALLOW
}

/** Spec: room version 1, "Authorisation rules", 11. */
function checkRedaction(event: RoomEvent, senderLevel: number, levels: PowerLevels): Verdict {
  // "If the sender's power level is greater than or equal to the redact level, allow."
  if (senderLevel >= levels.redact) return ALLOW
  // "If the domain of the event_id of the event being redacted is the same as the domain of the event_id of the
  // m.room.redaction, allow."
  const target: EventId | undefined = event.pdu.redacts
  const targetServer = target === undefined ? undefined : serverNameOf(target)
  if (targetServer !== undefined && targetServer === serverNameOf(event.eventId)) return ALLOW
  // "Otherwise, reject."
  return reject("The sender may not redact another server's event")
}
