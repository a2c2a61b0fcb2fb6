import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { type EventId, serverNameOf } from '../matrix/ids.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import { mayRedact, redact, redactionTarget } from '../matrix/redaction.ts'
import { stateKeyOf } from '../matrix/state-res/state-map.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { CitedEvents } from './cited-events.ts'
import type { HotRoom } from './hot-room.ts'
import { entriesIn, type RoomState, statesBefore } from './state-at.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events'>

/**
 * What a redaction takes effect on: a stored event, if it may, or one that is still to come.
 *
 * Spec: room versions, "Handling redactions": "If both the redaction and the redacted event are received".
 */
export async function targetOfRedaction(
  ctx: Engine,
  room: HotRoom,
  event: RoomEvent,
  before: RoomState | undefined,
  cited: CitedEvents,
): Promise<{ readonly target?: StoredEvent; readonly awaits?: EventId }> {
  if (event.pdu.type !== 'm.room.redaction') return {}
  const targetId = redactionTarget(event.pdu, room.rules)
  if (targetId === undefined) return {}
  const target = cited.get(targetId)
  if (!target) return { awaits: targetId }
  if (target.room !== room.room || target.redactedBy !== null) return {}
  return (await isEntitled(ctx, room, event, before, target.event)) ? { target } : {}
}

/** An event as its redactions leave it, if one of those that came first may redact it. */
export async function pruneIfRedacted(
  ctx: Engine,
  room: HotRoom,
  event: RoomEvent,
  redactions: readonly number[],
): Promise<{ readonly event: RoomEvent; readonly redactedBy: { readonly nid: number } | undefined }> {
  const stored = await ctx.events.byNids(redactions)
  const states = await statesBefore(ctx, stored)
  for (const redaction of stored) {
    const before = states.get(redaction.nid)!
    if ((redaction.flags & (EventFlags.rejected | EventFlags.softFailed)) !== 0) continue
    if (!(await isEntitled(ctx, room, redaction.event, before.known ? before.value : undefined, event))) continue
    return { event: { ...event, pdu: redact(event.pdu, room.rules) }, redactedBy: redaction }
  }
  return { event, redactedBy: undefined }
}

/** By the power levels in force where the redaction was sent; where they are not known, by the servers alone. */
export async function isEntitled(
  ctx: Engine,
  room: HotRoom,
  redaction: RoomEvent,
  before: RoomState | undefined,
  target: RoomEvent,
): Promise<boolean> {
  // Pruning the create event would unmake the room.
  if (target.pdu.type === 'm.room.create') return false
  if (!before) return serverNameOf(redaction.pdu.sender) === serverNameOf(target.pdu.sender)
  const { entries } = await entriesIn(ctx, room, before, [
    ['m.room.power_levels', ''],
    ['m.room.create', ''],
  ])
  const create = entries.get(stateKeyOf('m.room.create', ''))?.event
  if (!create) return false
  const content = entries.get(stateKeyOf('m.room.power_levels', ''))?.event.pdu.content
  return mayRedact(redaction, target, powerLevelsOf(content, create, room.rules), room.rules)
}
