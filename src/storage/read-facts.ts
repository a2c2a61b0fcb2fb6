import type { Database } from './database.ts'
import { statement } from './database.ts'
import type { Dictionaries } from './dictionaries.ts'
import { type EventIdFormat, eventIdText } from './event-codec.ts'
import type { EventStore, StoredEvent } from './events.ts'
import type { EventFact, Fact, StateChangeFact } from './facts.ts'
import { roomsCompletedBetween } from './partial-rooms.ts'
import { profileChangesOfSpan } from './profile-changes.ts'
import { remoteMembershipsBetween, storedMembershipEvent } from './remote-memberships.ts'
import { type Membership, membershipOf } from './room-users.ts'
import { type RoomRow, roomsByNid } from './rooms.ts'
import type { ReadFacts } from './stream.ts'
import { threadChangesOfSpan } from './thread-subscriptions.ts'
import type { AccountDataRow, ReceiptRow, ToDeviceRow } from './user-data.ts'

/**
 * Facts as the database has them, for what other processes committed and did not, or could not, tell. In a fixed number
 * of statements for any span.
 */

const eventNids = statement<{ event_nid: number }>(
  'events of a span',
  // An outlier that is shown later has its number from before, and its place in the timeline from then.
  `select event_nid from events where event_nid > $1 and event_nid <= $2 and timeline = event_nid
   union all
   select event_nid from events where timeline > $1 and timeline <= $2 and timeline <> event_nid`,
)
const stateChanges = statement<{ room: number; kind: number; from_position: number; event_nid: number | null }>(
  'state changes of a span',
  'select room, kind, from_position, event_nid from room_state where room = any($3::int[]) and from_position > $1 and from_position <= $2',
)
type PlacedReceipt = ReceiptRow & {
  event_id: Buffer
  event_format: EventIdFormat
  notify_index: number
  highlight_index: number
  timeline: number | null
}

const receipts = statement<PlacedReceipt>(
  'receipts of a span',
  `select t.room, t.user_nid, t.receipt_type, t.thread_id, t.event_nid, t.ts, t.position, e.event_id, e.notify_index,
     e.highlight_index, e.timeline,
     case when rooms.room_version in ('1', '2') then 'v1' when rooms.room_version = '3' then 'v3' else 'v4' end as event_format
   from receipts t join events e using (event_nid) join rooms on rooms.room = t.room
   where t.position > $1 and t.position <= $2`,
)
const accountData = statement<AccountDataRow>(
  'account data of a span',
  'select user_nid, room, type, content, position from account_data where position > $1 and position <= $2',
)
const toDevice = statement<ToDeviceRow>(
  'to-device messages of a span',
  'select position, user_nid, device_id, content from to_device where position > $1 and position <= $2',
)
const deviceLists = statement<{ position: number; user_nid: number; reader_nid: number | null }>(
  'device lists of a span',
  'select position, user_nid, reader_nid from device_list_changes where position > $1 and position <= $2',
)
const outgoingToDevice = statement<{ position: number; origin: string; server_name: string }>(
  'outgoing to-device messages of a span',
  'select position, origin, server_name from outgoing_to_device where position > $1 and position <= $2',
)

export function createReadFacts(
  database: Pick<Database, 'read'>,
  dictionaries: Dictionaries,
  events: EventStore,
): ReadFacts {
  return async (after, upTo) => {
    const span = [after, upTo]
    const [
      ofEvents,
      receiptRows,
      accountRows,
      toDeviceRows,
      deviceListRows,
      remote,
      outgoing,
      threads,
      profiles,
      completed,
    ] = await Promise.all([
      eventFacts(database, dictionaries, events, after, upTo),
      database.read(receipts, span),
      database.read(accountData, span),
      database.read(toDevice, span),
      database.read(deviceLists, span),
      database.read(remoteMembershipsBetween, span),
      database.read(outgoingToDevice, span),
      database.read(threadChangesOfSpan, span),
      database.read(profileChangesOfSpan, span),
      database.read(roomsCompletedBetween, span),
    ])
    const facts: Fact[] = [...ofEvents]
    for (const row of receiptRows) facts.push(...receiptFacts(row))
    for (const row of accountRows) {
      const { position, user_nid: userNid, room, type, content } = row
      facts.push({ kind: 'accountData', position, userNid, room, type, content })
    }
    for (const { position, user_nid: userNid, device_id: deviceId, content } of toDeviceRows) {
      facts.push({ kind: 'toDevice', position, userNid, deviceId, content })
    }
    for (const { position, user_nid: userNid, reader_nid: readerNid } of deviceListRows) {
      facts.push({ kind: 'deviceList', position, userNid, ...(readerNid !== null && { readerNid }) })
    }
    for (const { position, user_nid: userNid, room, room_id: roomId, membership, ...row } of remote) {
      const event = storedMembershipEvent(row.pdu, row.room_version)
      const named = { room, roomId, membership: membershipOf(membership), event }
      facts.push({ kind: 'remoteMembership', position, userNid, ...named })
    }
    for (const { position, origin, server_name: server } of outgoing) {
      facts.push({ kind: 'outgoingToDevice', position, origin, server })
    }
    for (const { position, user_nid: userNid, user_id: userId, room, subscribed, ...row } of threads) {
      const root = eventIdText(row.event_id, row.event_format)
      facts.push({ kind: 'threadSubscription', position, userNid, userId, room, root, subscribed })
    }
    for (const { position, user_nid: userNid, field } of profiles) {
      facts.push({ kind: 'profile', position, userNid, field })
    }
    for (const { room, room_id: roomId, completed_at: position, corrected: isCorrected } of completed) {
      facts.push({ kind: 'roomCompleted', position, room, roomId, isCorrected })
    }
    return facts.sort((one, other) => one.position - other.position)
  }
}

function receiptFacts(row: PlacedReceipt): Fact[] {
  const { position, room, user_nid: userNid, thread_id: threadId } = row
  const receipt: Fact = {
    kind: 'receipt',
    position,
    room,
    userNid,
    receiptType: row.receipt_type,
    threadId,
    eventId: eventIdText(row.event_id, row.event_format),
    timeline: row.timeline,
    ts: row.ts,
  }
  if (row.timeline === null) return [receipt]
  const index = { notifyIndex: row.notify_index, highlightIndex: row.highlight_index }
  return [receipt, { kind: 'read', position, room, userNid, threadId, readPosition: row.timeline, ...index }]
}

async function eventFacts(
  database: Pick<Database, 'read'>,
  dictionaries: Dictionaries,
  events: EventStore,
  after: number,
  upTo: number,
): Promise<EventFact[]> {
  const nids = (await database.read(eventNids, [after, upTo])).map((row) => row.event_nid)
  if (nids.length === 0) return []
  const stored = await events.byNids(nids)
  const rooms = [...new Set(stored.map((event) => event.room))]
  const [changeRows, roomRows, replaced] = await Promise.all([
    database.read(stateChanges, [after, upTo, rooms]),
    database.read(roomsByNid, [rooms]),
    events.replacedBy(stored),
  ])
  const roomOf = new Map(roomRows.map((row) => [row.room, row]))
  const known = new Map(stored.map((event) => [event.nid, event]))
  const missing = changeRows.flatMap(({ event_nid: nid }) => (nid === null || known.has(nid) ? [] : [nid]))
  for (const event of await events.byNids(missing)) known.set(event.nid, event)
  const changesAt = await changesByPosition(dictionaries, changeRows, known)
  return stored
    .sort((one, other) => one.timeline! - other.timeline!)
    .map((event) =>
      eventFact(event, roomOf.get(event.room)!, changesAt.get(event.timeline!) ?? [], replaced.get(event.nid)),
    )
}

type Change = StateChangeFact & { readonly userNid: number | undefined }

async function changesByPosition(
  dictionaries: Dictionaries,
  rows: readonly { kind: number; from_position: number; event_nid: number | null }[],
  events: ReadonlyMap<number, StoredEvent>,
): Promise<Map<number, Change[]>> {
  const kinds = await dictionaries.kinds(new Set(rows.map((row) => row.kind)))
  const members = [...kinds.values()].flatMap(({ type, stateKey }) =>
    type === 'm.room.member' && stateKey !== undefined ? [stateKey as `@${string}`] : [],
  )
  const users = await dictionaries.findUsers(members)
  const changes = new Map<number, Change[]>()
  for (const row of rows) {
    const { type, stateKey = '' } = kinds.get(row.kind)!
    const to = row.event_nid === null ? null : (events.get(row.event_nid) ?? null)
    const userNid = type === 'm.room.member' ? users.get(stateKey as `@${string}`) : undefined
    const change = { type, stateKey, kind: row.kind, to, userNid }
    const list = changes.get(row.from_position)
    if (list) list.push(change)
    else changes.set(row.from_position, [change])
  }
  return changes
}

function eventFact(
  stored: StoredEvent,
  room: RoomRow,
  changes: readonly Change[],
  replaced: StoredEvent | undefined,
): EventFact {
  const memberships = changes.flatMap(({ userNid, to }) => {
    if (userNid === undefined) return []
    const membership = (to?.event.pdu.content.membership ?? 'leave') as Membership
    return [{ userNid, membership, eventNid: to?.nid ?? stored.nid }]
  })
  return {
    kind: 'event',
    position: stored.timeline!,
    roomId: room.room_id,
    stored,
    changes: changes.map(({ userNid: _userNid, ...change }) => change),
    replaced,
    memberships,
    room: {
      seen: undefined,
      version: room.version,
      extremities: room.extremities,
      depth: room.depth,
      notifyCount: stored.notifyIndex,
      highlightCount: stored.highlightIndex,
      joinedMembers: room.joined_members,
      partialState: room.partial_state,
      invitedMembers: room.invited_members,
    },
  }
}
