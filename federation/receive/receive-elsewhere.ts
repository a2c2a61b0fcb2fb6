import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseUserId, serverNameOf } from '../../src/matrix/ids.ts'
import type { Json } from '../../src/matrix/json.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { type RemoteMembership, remoteMembershipOf, saveRemoteMembership } from '../../src/rooms/remote-memberships.ts'
import type { Federation } from '../federation.ts'
import { checkPdu } from './check-pdu.ts'

/**
 * What is sent about a room that this deployment is not in: of that, only that an invite or a knock of one of our users no
 * longer stands is of interest. Everything else is passed over.
 */
export async function receiveElsewhere(federation: Federation, room: HotRoom, pdus: readonly Json[]): Promise<void> {
  for (const pdu of pdus) {
    const checked = await checkPdu(federation, pdu, room.roomId, room.rules)
    if (checked.error === undefined) await receiveOne(federation, room, checked.event)
  }
}

async function receiveOne({ ctx }: Federation, room: HotRoom, event: RoomEvent): Promise<void> {
  const { type, content, state_key: stateKey } = event.pdu
  if (type !== 'm.room.member' || (content.membership !== 'leave' && content.membership !== 'ban')) return
  const userId = stateKey === undefined ? undefined : parseUserId(stateKey)
  if (!userId || !ctx.domains.isLocal(serverNameOf(userId))) return
  const elsewhere = await remoteMembershipOf(ctx, room.roomId, userId)
  if (!elsewhere || !ends(event, elsewhere)) return
  await saveRemoteMembership(ctx, room, { event, stripped: [], servers: elsewhere.servers })
}

/**
 * Whether to believe that an event ends a membership, in a room whose state is not known: it has to cite the membership, and
 * an invite is taken back by who gave it. A knock may be refused by whoever has the power, of which only its
 * citing the knock can be told here.
 */
function ends(event: RoomEvent, { membership, event: before }: RemoteMembership): boolean {
  if (!event.authEvents.includes(before.eventId)) return false
  if (membership === 'knock') return true
  return membership === 'invite' && event.pdu.sender === before.pdu.sender
}
