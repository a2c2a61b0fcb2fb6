import type { StoredEvent } from '../storage/events.ts'
import type { EventFact } from '../storage/facts.ts'
import type { EventRef, HotRoom } from './hot-room.ts'

/**
 * Takes over into a hot room what another process wrote to it.
 *
 * @returns false when that cannot be done exactly: something is on its way from here, or was missed, and so the room has to
 * be loaded again.
 */
export function followRoom(room: HotRoom, fact: EventFact): boolean {
  const { seen, version, extremities } = fact.room
  // The events of one unit come one after the other and leave the same version.
  // What it redacts may be among the entries in memory.
  if (fact.stored.event.pdu.type === 'm.room.redaction') return false
  const fits = seen !== undefined && (room.version === seen || room.version === version)
  if (!fits || room.unwritten.size > 0) return false
  const refs = refsOf(room, fact.stored, extremities)
  if (!refs) return false
  for (const { type, stateKey, to } of fact.changes) {
    room.set(type, stateKey, to ? { ref: refOf(to), since: fact.position } : undefined)
  }
  room.extremities = refs
  room.depth = fact.room.depth
  room.notifyCount = fact.room.notifyCount
  room.highlightCount = fact.room.highlightCount
  room.joinedMembers = fact.room.joinedMembers
  room.invitedMembers = fact.room.invitedMembers
  room.version = version
  return true
}

function refsOf(room: HotRoom, stored: StoredEvent, nids: readonly number[]): EventRef[] | undefined {
  const known = new Map(room.extremities.map((ref) => [ref.nid, ref]))
  known.set(stored.nid, refOf(stored))
  const refs = nids.map((nid) => known.get(nid))
  return refs.every((ref) => ref !== undefined) ? refs : undefined
}

function refOf(stored: StoredEvent): EventRef {
  return { nid: stored.nid, kind: stored.kind, senderNid: stored.senderNid, event: stored.event }
}
