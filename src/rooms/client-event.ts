import type { EventId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { stickyDuration, stickyUntil } from '../matrix/sticky.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'
import { stripped } from './shown-state.ts'

/** What a reader learns about an event beside the event. */
export type EventView = {
  /** Milliseconds since the epoch; gives `unsigned.age`. */
  readonly now: number
  /** With the room, everywhere but in sync. */
  readonly roomId?: string
  /** The transaction id, for the device that sent it. */
  readonly transactionId?: string | undefined
  /** What a state event replaced. */
  readonly replaced?: StoredEvent | undefined
  /** The redaction, as a client event, when it was redacted. */
  readonly redactedBecause?: JsonObject | undefined
  /** The reader's membership when the event was sent. */
  readonly membership?: Membership | undefined
  /** Bundled aggregations: `m.relations`. */
  readonly relations?: JsonObject | undefined
}

/** What of a stored event the text is made of. */
type Shown = Pick<StoredEvent, 'event'>

const texts = new WeakMap<Shown, string>()

/** The part of a client event that is the same for every reader, without the closing brace: made once per event. */
function sharedText(stored: Shown): string {
  const known = texts.get(stored)
  if (known !== undefined) return known
  const { eventId, pdu } = stored.event
  let text = `{"content":${JSON.stringify(pdu.content)},"event_id":${JSON.stringify(eventId)},"origin_server_ts":${pdu.origin_server_ts},"sender":${JSON.stringify(pdu.sender)},"type":${JSON.stringify(pdu.type)}`
  if (pdu.state_key !== undefined) text += `,"state_key":${JSON.stringify(pdu.state_key)}`
  const redacts = redactedEventId(stored)
  if (redacts !== undefined) text += `,"redacts":${JSON.stringify(redacts)}`
  const sticky = stickyDuration(pdu)
  if (sticky !== undefined) text += `,"msc4354_sticky":{"duration_ms":${sticky}}`
  texts.set(stored, text)
  return text
}

/**
 * Which event a redaction names. Clients find it at the top level in every room version.
 *
 * Spec: Client-Server API, "Redactions", "Events": `redacts` at the top level for older clients.
 */
export function redactedEventId(stored: Shown): EventId | undefined {
  const { pdu } = stored.event
  if (pdu.type !== 'm.room.redaction') return undefined
  const redacts = pdu.redacts ?? pdu.content.redacts
  return typeof redacts === 'string' ? (redacts as EventId) : undefined
}

/** An event as clients see it, as JSON text. Spec: Client-Server API, "Room event format". */
export function clientEventText(stored: Shown, view: EventView): string {
  const { pdu } = stored.event
  let text = sharedText(stored)
  if (view.roomId !== undefined) text += `,"room_id":${JSON.stringify(view.roomId)}`
  text += `,"unsigned":{"age":${Math.max(0, view.now - pdu.origin_server_ts)}`
  const stickyFor = stickyUntil(pdu, view.now) - view.now
  if (stickyFor > 0) text += `,"msc4354_sticky_duration_ttl_ms":${stickyFor}`
  if (view.transactionId !== undefined) text += `,"transaction_id":${JSON.stringify(view.transactionId)}`
  if (view.membership !== undefined) text += `,"membership":"${view.membership}"`
  if (view.replaced) {
    const { event } = view.replaced
    text += `,"prev_content":${JSON.stringify(event.pdu.content)},"replaces_state":${JSON.stringify(event.eventId)},"prev_sender":${JSON.stringify(event.pdu.sender)}`
  }
  if (view.redactedBecause) text += `,"redacted_because":${JSON.stringify(view.redactedBecause)}`
  if (view.relations) text += `,"m.relations":${JSON.stringify(view.relations)}`
  return `${text}}}`
}

export function clientEvent(stored: Shown, view: EventView): JsonObject {
  return JSON.parse(clientEventText(stored, view)) as JsonObject
}

/**
 * An event of the state that somebody outside the room is shown: type, state key, sender and content.
 *
 * Spec: Client-Server API, "Stripped state".
 */
export function strippedText(stored: { event: StoredEvent['event'] }): string {
  return JSON.stringify(stripped(stored.event.pdu))
}
