import type { RoomEvent } from '../event.ts'
import { parseUserId, serverNameOf } from '../ids.ts'
import type { Json } from '../json.ts'
import { type RoomRules, roomRules } from '../room-versions.ts'
import { ALLOW, reject, rejectMalformed, type Verdict } from './verdict.ts'

/** Spec: room versions, "Authorisation rules", 1 (v1.19). */
export function checkCreate({ pdu }: RoomEvent, rules: RoomRules): Verdict {
  const { content, room_id: roomId } = pdu
  // 1.1 "If it has any prev_events, reject."
  if (pdu.prev_events.length > 0) return reject('The create event has prev_events')
  if (rules.createEventIsRoomId) {
    // 1.2, from version 12 on: "If the event has a room_id, reject."
    if (roomId !== undefined) return reject('The create event has a room_id')
  } else if (roomId === undefined || serverNameOf(roomId) !== serverNameOf(pdu.sender)) {
    // 1.2, before: "If the domain of the room_id does not match the domain of the sender, reject."
    return reject('The room id is of another server than the sender')
  }
  // 1.3 "If content.room_version is present and is not a recognised version, reject."
  const version = content.room_version
  if (version !== undefined && (typeof version !== 'string' || roomRules(version) === undefined)) {
    return reject('The room version is not known')
  }
  // 1.4, until version 10: "If content has no creator property, reject."
  if (rules.auth.creatorInContent && !Object.hasOwn(content, 'creator'))
    return reject('The create event has no creator')
  // 1.4, from version 12 on: "If additional_creators is present in content and is not an array of strings where each
  // string passes the same user ID validation applied to sender, reject."
  if (rules.auth.privilegedCreators && Object.hasOwn(content, 'additional_creators')) {
    if (!areUserIds(content.additional_creators))
      return rejectMalformed('additional_creators is not a list of user ids')
  }
  // 1.5 "Otherwise, allow."
  return ALLOW
}

function areUserIds(value: Json | undefined): boolean {
  return (
    Array.isArray(value) && value.every((item: Json) => typeof item === 'string' && parseUserId(item) !== undefined)
  )
}
