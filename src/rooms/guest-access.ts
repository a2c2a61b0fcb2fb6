import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { HotRoom } from './hot-room.ts'
import type { EventDraft } from './local-event.ts'

/** The state that says whether guests may join a room. Spec: Client-Server API, "Guest Access", `m.room.guest_access`. */
export const guestAccess = 'm.room.guest_access'

/** @param content That of the room's `m.room.guest_access`; without one guests may not join. */
export function allowsGuests(content: JsonObject | undefined): boolean {
  return content?.guest_access === 'can_join'
}

export function guestForbidden(): MatrixError {
  return new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not join this room')
}

/** Whether an event is a join of a guest, as whom nobody can come into a room that does not say so. */
export function isJoinOfGuest({ isOfGuest, type, sender, stateKey, content }: EventDraft): boolean {
  return isOfGuest === true && type === 'm.room.member' && stateKey === sender && content.membership === 'join'
}

/**
 * Refuses the join of a guest by the state that it would be written on, which was loaded before: what the room said when the guest
 * asked may have changed since. Who is in the room already may go by another name there.
 *
 * @throws MatrixError M_GUEST_ACCESS_FORBIDDEN
 */
export function refuseJoinOfGuest(room: HotRoom, draft: EventDraft): void {
  if (!isJoinOfGuest(draft) || allowsGuests(room.get(guestAccess, '')?.pdu.content)) return
  if (room.get('m.room.member', draft.sender)?.pdu.content.membership !== 'join') throw guestForbidden()
}
