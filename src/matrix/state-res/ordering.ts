import { createHash } from 'node:crypto'
import { compareCodePoints } from '../canonical-json.ts'
import type { RoomEvent } from '../event.ts'
import type { EventId } from '../ids.ts'
import { powerLevelsOf } from '../power-levels.ts'
import type { RoomRules } from '../room-versions.ts'

/**
 * Tells whether an event is a power event.
 *
 * Spec: Room Version 2, "State resolution" (v1.19): "a state event with type `m.room.power_levels` or
 * `m.room.join_rules`, or a state event with type `m.room.member` where the `membership` is `leave` or `ban` and the
 * `sender` does not match the `state_key`." The first two count only with an empty state key, as no other has a meaning;
 * the servers of the network agree on this, and have to.
 */
export function isPowerEvent({ pdu }: RoomEvent): boolean {
  switch (pdu.type) {
    case 'm.room.power_levels':
    case 'm.room.join_rules':
      return pdu.state_key === ''
    case 'm.room.member': {
      const { membership } = pdu.content
      return (
        (membership === 'leave' || membership === 'ban') && pdu.state_key !== undefined && pdu.sender !== pdu.state_key
      )
    }
    default:
      return false
  }
}

/** The level of an event's sender by the power levels and the create event among its own auth events. */
export function senderLevel(
  event: RoomEvent,
  powerLevels: RoomEvent | undefined,
  create: RoomEvent | undefined,
  rules: RoomRules,
): number {
  if (create === undefined) return 0
  return powerLevelsOf(powerLevels?.pdu.content, create, rules).userLevel(event.pdu.sender)
}

/** What the reverse topological power ordering compares. */
export type PowerRank = { readonly event: RoomEvent; readonly level: number }

/**
 * Spec: "*x* < *y* if *x*'s sender has *greater* power level than *y*'s sender …; or the senders have the same power
 * level, but *x*'s `origin_server_ts` is *less* …; or … *x*'s `event_id` is *less*".
 */
export function comparePower(x: PowerRank, y: PowerRank): number {
  if (x.level !== y.level) return x.level > y.level ? -1 : 1
  return compareAge(x.event, y.event)
}

/** What the mainline ordering compares; a position of infinity is the earliest. */
export type MainlineRank = { readonly event: RoomEvent; readonly position: number }

/**
 * Spec: "*x* < *y* if the mainline position of *x* is **greater** than the mainline position of *y* …; or the mainline
 * positions of the events are the same, but *x*'s `origin_server_ts` is *less* …; or … *x*'s `event_id` is *less*".
 */
export function compareMainline(x: MainlineRank, y: MainlineRank): number {
  if (x.position !== y.position) return x.position > y.position ? -1 : 1
  return compareAge(x.event, y.event)
}

function compareAge(x: RoomEvent, y: RoomEvent): number {
  return x.pdu.origin_server_ts - y.pdu.origin_server_ts || compareCodePoints(x.eventId, y.eventId)
}

/** Spec: Room Version 1, "State resolution" (v1.19): "ascending `depth` then descending `sha1(event_id)`". */
export function compareDepth(x: RoomEvent, y: RoomEvent): number {
  if (x.pdu.depth !== y.pdu.depth) return x.pdu.depth < y.pdu.depth ? -1 : 1
  return Buffer.compare(sha1(y.eventId), sha1(x.eventId))
}

function sha1(eventId: EventId): Buffer {
  return createHash('sha1').update(eventId).digest()
}
