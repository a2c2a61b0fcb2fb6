import type { Context } from '../context.ts'
import { jsonText } from '../matrix/canonical-json.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { redact } from '../matrix/redaction.ts'
import { stickyUntil } from '../matrix/sticky.ts'
import { searchableWords, wordsOf } from '../search/searchable.ts'
import type { Batch } from '../storage/batch.ts'
import { eventIdBytes, restOf } from '../storage/event-codec.ts'
import {
  closeGaps,
  deleteMissingEvents,
  deletePendingRedactions,
  insertPendingRedactions,
  promoteEvents,
} from '../storage/event-graph.ts'
import { eventRow, insertEvents, insertMissingEvents, redactEvents } from '../storage/event-rows.ts'
import { EventFlags, type StoredEvent, storedState } from '../storage/events.ts'
import type { Fact, StateChangeFact } from '../storage/facts.ts'
import { closeRoomState, insertRelations, openRoomState } from '../storage/room-state.ts'
import {
  forgetNames,
  insertPushExceptions,
  type Membership,
  membershipCodes,
  nameWords,
  saveMemberships,
  saveReadPositions,
} from '../storage/room-users.ts'
import { insertSearchableEvents, lexemesOf, searchKeyCodes } from '../storage/searchable-events.ts'
import { insertStickyEvents } from '../storage/sticky-events.ts'
import type { HotRoom } from './hot-room.ts'
import { type Appended, type Arrival, isAfterGap, type StateChange } from './place-event.ts'
import { relationOf } from './relations.ts'

type Engine = Pick<Context, 'clock' | 'config' | 'dictionaries' | 'domains'>

/** The transaction id a client sent an event with, and what it asked for. */
export type Transaction = {
  readonly userNid: number
  readonly deviceId: string
  readonly scope: string
  readonly txnId: string
}

/** Gives an event its number: that of its position, unless it has one already. */
export function numberEvent({ ref, arrival }: Appended, position: number): void {
  ref.nid = arrival?.promotes?.nid ?? position
}

/** Adds everything an event brings with it to a batch, now that its position is known. */
export function writeEvent(
  ctx: Engine,
  batch: Batch,
  appended: Appended,
  unit: { position: number; seen: number | undefined; transaction: Transaction | undefined },
): void {
  const { position, seen, transaction } = unit
  const { ref, room, after, arrival } = appended
  const place = {
    nid: ref.nid,
    room: room.room,
    timeline: appended.timeline ? position : (appended.historyPosition ?? null),
    flags: appended.flags | (isAfterGap(appended) ? EventFlags.gap : 0),
    notifyIndex: after.notifyCount,
    highlightIndex: after.highlightCount,
    stateDelta: appended.stateDelta,
    kind: ref.kind,
    senderNid: ref.senderNid,
    redactedBy: arrival?.redactedBy?.nid ?? null,
    inColumns: { edges: true, proof: true },
    event: ref.event,
  }
  const row = eventRow(ref.event, room.rules, {
    ...place,
    sender: ref.senderNid,
    prev: appended.prev.map((prev) => prev?.nid),
    auth: appended.auth.map((auth) => auth?.nid),
    signer: serverNameOf(ref.event.pdu.sender)!,
  })
  const stored: StoredEvent = { ...place, contentLength: row.content.length }
  if (arrival?.promotes) batch.add(promoteEvents, row)
  else batch.add(insertEvents, row)
  if (arrival) writeArrival(batch, appended, arrival)
  const changes = appended.changes.map((change) => writeStateChange(batch, appended, change, position, stored))
  const memberships = writeMemberships(ctx, batch, room, appended.changes, { ...after, position })
  if (appended.redacts) writeRedaction(ctx, batch, room, appended.redacts, ref.nid)
  if (ctx.config.search.enabled) writeSearchable(batch, room, stored)
  const relation = relationOf(ref.event.pdu.content)
  if (relation && ref.event.pdu.state_key === undefined && (appended.flags & EventFlags.outlier) === 0) {
    batch.add(insertRelations, {
      room: room.room,
      parent: eventIdBytes(relation.eventId),
      relation: relation.relType,
      event_nid: ref.nid,
      kind: ref.kind,
      sender: ref.senderNid,
      key: relation.key ?? null,
    })
  }
  if (appended.timeline && ctx.config.experimental.msc4354) {
    const now = ctx.clock.now()
    const expiresAt = stickyUntil(ref.event.pdu, now)
    if (expiresAt > now) batch.add(insertStickyEvents, { event_nid: ref.nid, room: room.room, expires_at: expiresAt })
  }
  if (appended.timeline && ctx.domains.isLocal(serverNameOf(ref.event.pdu.sender))) {
    batch.add(saveReadPositions, {
      user_nid: ref.senderNid,
      room: room.room,
      read_position: position,
      read_notify_index: after.notifyCount,
      read_highlight_index: after.highlightCount,
    })
  }
  for (const exception of appended.unread.exceptions) {
    batch.add(insertPushExceptions, {
      user_nid: exception.userNid,
      room: room.room,
      // Compared with read positions, so it is where the event is in the timeline.
      event_nid: position,
      notify: exception.notify,
      highlight: exception.highlight,
    })
  }
  // What nobody is shown is news to nobody.
  if (!appended.timeline) return
  batch.fact({
    kind: 'event',
    position,
    roomId: room.roomId,
    stored,
    changes: changes.filter((change) => change !== undefined),
    replaced: replacedBy(appended),
    memberships,
    exceptions: appended.unread.exceptions,
    transaction: transaction && { deviceId: transaction.deviceId, txnId: transaction.txnId },
    room: {
      ...after,
      extremities: after.extremities.map(({ nid }) => nid),
      // Who has the room in memory without the state that we are given here must load it again.
      seen: appended.changes.some(({ isGiven }) => isGiven) ? undefined : (seen ?? 0),
      version: (seen ?? 0) + 1,
    },
  } satisfies Fact)
}

function writeArrival(batch: Batch, { ref, room }: Appended, arrival: Arrival): void {
  const eventId = eventIdBytes(ref.event.eventId)
  batch.add(deleteMissingEvents, { room: room.room, event_id: eventId })
  for (const missing of arrival.missing) {
    batch.add(insertMissingEvents, { room: room.room, event_id: eventIdBytes(missing), referenced_by: ref.nid })
  }
  for (const follower of arrival.followers ?? []) {
    for (const missing of arrival.missingBefore ?? []) {
      batch.add(insertMissingEvents, { room: room.room, event_id: eventIdBytes(missing), referenced_by: follower })
    }
    batch.add(closeGaps, { event_nid: follower })
  }
  if (arrival.awaits !== undefined) {
    batch.add(insertPendingRedactions, {
      room: room.room,
      event_id: eventIdBytes(arrival.awaits),
      redaction: ref.nid,
    })
  }
  if (arrival.hasRedactions) batch.add(deletePendingRedactions, { room: room.room, event_id: eventId })
  if (arrival.redactedBy === undefined) return
  const { pdu } = ref.event
  batch.add(redactEvents, {
    event_nid: ref.nid,
    content: jsonText(pdu.content),
    rest: restOf(pdu, { edges: false, proof: false }),
    redacted_by: arrival.redactedBy.nid,
  })
}

/** The words of what can be found, unless the room is encrypted. */
function writeSearchable(batch: Batch, room: HotRoom, stored: StoredEvent): void {
  if (stored.timeline === null || stored.redactedBy !== null || room.get('m.room.encryption', '')) return
  const found = searchableWords(stored.event.pdu)
  if (!found) return
  batch.add(insertSearchableEvents, {
    event_nid: stored.nid,
    room: room.room,
    key: searchKeyCodes[found.key],
    sender: stored.senderNid,
    timeline: stored.timeline,
    origin_server_ts: stored.event.pdu.origin_server_ts,
    words: lexemesOf(room.room, found.words),
  })
}

function replacedBy({ ref, changes, room }: Appended): StoredEvent | undefined {
  const own = changes.find((change) => change.to?.ref === ref)
  return own?.from && storedState(room.room, own.from.ref)
}

function writeStateChange(
  batch: Batch,
  appended: Appended,
  change: StateChange,
  eventPosition: number,
  stored: StoredEvent,
): StateChangeFact | undefined {
  const { room } = appended.room
  writeEntry(batch, room, change, change.isGiven ? eventPosition - 1 : eventPosition)
  // Nobody here was in the room before.
  if (change.isGiven) return undefined
  const to = change.to?.ref
  return {
    type: change.type,
    stateKey: change.stateKey,
    kind: change.kind,
    // A resolution can bring back an event that was stored long ago.
    to: to ? (to === appended.ref ? stored : storedState(room, to)) : null,
  }
}

/** What a key of the state is from a position on. */
export function writeEntry(batch: Batch, room: number, change: StateChange, position: number): void {
  if (change.to) change.to.since = position
  batch.add(openRoomState, {
    room,
    kind: change.kind,
    is_member: change.type === 'm.room.member',
    from_position: position,
    to_position: change.to ? null : position + 1,
    event_nid: change.to ? change.to.ref.nid : null,
  })
  if (change.from) {
    batch.add(closeRoomState, { room, kind: change.kind, from_position: change.from.since, to_position: position })
  }
}

type WrittenMembership = { readonly userNid: number; readonly membership: Membership; readonly eventNid: number }

/** The memberships among changes of a room's state. @returns those that concern users here, or that are news. */
export function writeMemberships(
  ctx: Pick<Context, 'dictionaries' | 'domains'>,
  batch: Batch,
  room: HotRoom,
  changes: readonly StateChange[],
  at: { readonly position: number; readonly notifyCount: number; readonly highlightCount: number },
): WrittenMembership[] {
  const written: WrittenMembership[] = []
  for (const change of changes) {
    if (change.type !== 'm.room.member') continue
    const membership = (change.to?.ref.event.pdu.content.membership ?? 'leave') as Membership
    const code = membershipCodes[membership]
    const userNid = ctx.dictionaries.cachedUser(change.stateKey as UserId)
    if (userNid === undefined) throw new Error(`${change.stateKey} has no number`)
    if (code === undefined) continue
    const eventNid = change.to?.ref.nid ?? at.position
    const isLocal = ctx.domains.isLocal(serverNameOf(change.stateKey as UserId))
    batch.add(saveMemberships, {
      user_nid: userNid,
      room: room.room,
      membership: code,
      event_nid: eventNid,
      since: at.position,
      notify_index: at.notifyCount,
      highlight_index: at.highlightCount,
      name_words: isLocal ? null : remoteNameWords(change.to?.ref.event.pdu.content),
    })
    if (!change.isGiven || isLocal) written.push({ userNid, membership, eventNid })
  }
  return written
}

/** Characters of a name that it is found by. */
const searchedName = 256

/** The words that a member from another server is found by in a room; null: none, or the membership is no join. */
export function remoteNameWords(content: JsonObject | undefined): string | null {
  const name = content?.membership === 'join' ? content.displayname : undefined
  return nameWords(typeof name === 'string' ? wordsOf(name.slice(0, searchedName)) : [])
}

function writeRedaction(ctx: Engine, batch: Batch, room: HotRoom, target: StoredEvent, redaction: number): void {
  const pruned = redact(target.event.pdu, room.rules)
  batch.add(redactEvents, {
    event_nid: target.nid,
    content: jsonText(pruned.content),
    rest: restOf(pruned, target.inColumns),
    redacted_by: redaction,
  })
  const { type, state_key: member } = target.event.pdu
  if (type !== 'm.room.member' || ctx.domains.isLocal(serverNameOf(member as UserId))) return
  const userNid = ctx.dictionaries.cachedUser(member as UserId)
  if (userNid !== undefined) batch.add(forgetNames, { user_nid: userNid, room: room.room, event_nid: target.nid })
}
