import type { Pdu, RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { type Database, statement } from './database.ts'
import type { Dictionaries } from './dictionaries.ts'
import { decodeEdges, decodeProof, encodeEdges, encodeProof, eventIdBytes, eventIdText, restOf } from './event-codec.ts'
import { insertInto, operation } from './writer.ts'

/** Bits of `events.flags`. */
export const EventFlags = {
  state: 1,
  rejected: 2,
  softFailed: 4,
  /** Known only because another event names it: it never had its place in the room's graph. */
  outlier: 8,
  /** Of the history that was asked for afterwards: the state before it is not that of its position. */
  backfilled: 16,
  /** Nobody has sent us some of its predecessors: what is before it in the timeline is not all there was. */
  gap: 32,
} as const

/** An event as stored: what the database knows about it beside the PDU. */
export type StoredEvent = {
  readonly nid: number
  readonly room: number
  readonly timeline: number | null
  readonly flags: number
  readonly notifyIndex: number
  readonly highlightIndex: number
  readonly stateDelta: number | null
  readonly kind: number
  readonly senderNid: number
  readonly redactedBy: number | null
  /** Which parts of the PDU the binary columns hold; the others are in `rest`. */
  readonly inColumns: { readonly edges: boolean; readonly proof: boolean }
  /** Complete only when loaded with edges; otherwise prev_events and auth_events are empty. */
  readonly event: RoomEvent
}

/** A state event that a room holds in memory, as what is read from the database: without its place in the timeline. */
export function storedState(room: number, ref: Pick<StoredEvent, 'nid' | 'kind' | 'senderNid' | 'event'>): StoredEvent {
  return {
    nid: ref.nid,
    room,
    timeline: null,
    flags: EventFlags.state,
    notifyIndex: 0,
    highlightIndex: 0,
    stateDelta: null,
    kind: ref.kind,
    senderNid: ref.senderNid,
    redactedBy: null,
    inColumns: { edges: true, proof: true },
    event: ref.event,
  }
}

export type EventRow = {
  event_nid: number
  room: number
  timeline: number | null
  event_id: Buffer
  kind: number
  sender: number
  depth: number
  origin_server_ts: number
  flags: number
  notify_index: number
  highlight_index: number
  state_delta: number | null
  edges: Buffer | null
  proof: Buffer | null
  content: string
  rest: string | null
}

export const insertEvents = insertInto<EventRow>('events', {
  event_nid: 'int8',
  room: 'int4',
  timeline: 'int8',
  event_id: 'bytea',
  kind: 'int4',
  sender: 'int4',
  depth: 'int8',
  origin_server_ts: 'int8',
  flags: 'int2',
  notify_index: 'int4',
  highlight_index: 'int4',
  state_delta: 'int8',
  edges: 'bytea',
  proof: 'bytea',
  content: 'text',
  rest: 'text',
})

/** Prunes a redacted event where it lies: what was redacted is gone from the database too. */
export const redactEvents = operation<{ event_nid: number; content: string; rest: string | null; redacted_by: number }>(
  'redact events',
  { event_nid: 'int8', content: 'text', rest: 'text', redacted_by: 'int8' },
  `update events set content = r.content, rest = r.rest, redacted_by = r.redacted_by
   from $rows where events.event_nid = r.event_nid`,
)

export const insertMissingEvents = insertInto<{ room: number; event_id: Buffer; referenced_by: number }>(
  'missing_events',
  { room: 'int4', event_id: 'bytea', referenced_by: 'int8' },
  { tail: 'on conflict do nothing' },
)

/**
 * The row of an event.
 *
 * @param place.prev The numbers of its prev_events, undefined where one is not known here.
 * @param place.auth Likewise of its auth_events.
 */
export function eventRow(
  event: RoomEvent,
  rules: RoomRules,
  place: {
    nid: number
    room: number
    timeline: number | null
    kind: number
    sender: number
    flags: number
    notifyIndex: number
    highlightIndex: number
    stateDelta: number | null
    prev: readonly (number | undefined)[]
    auth: readonly (number | undefined)[]
    signer: string
  },
): EventRow {
  const known = (nid: number | undefined): nid is number => nid !== undefined
  const prev = place.prev.filter(known)
  const auth = place.auth.filter(known)
  const complete = prev.length === place.prev.length && auth.length === place.auth.length
  const proof = encodeProof(event.pdu, place.signer)
  return {
    event_nid: place.nid,
    room: place.room,
    timeline: place.timeline,
    event_id: eventIdBytes(event.eventId),
    kind: place.kind,
    sender: place.sender,
    depth: event.pdu.depth,
    origin_server_ts: event.pdu.origin_server_ts,
    flags: place.flags,
    notify_index: place.notifyIndex,
    highlight_index: place.highlightIndex,
    state_delta: place.stateDelta,
    edges: encodeEdges(place.nid, prev, auth),
    proof: proof ?? null,
    content: JSON.stringify(event.pdu.content),
    // Room versions 1 and 2 write hashes beside the ids, which numbers cannot bring back.
    rest: restOf(event.pdu, { edges: complete && rules.eventFormat !== 'v1', proof: proof !== undefined }),
  }
}

type LoadedRow = EventRow & { redacted_by: number | null; room_id: RoomId; room_version: string }

const columns = `e.event_nid, e.room, e.timeline, e.event_id, e.kind, e.sender, e.depth, e.origin_server_ts, e.flags,
  e.notify_index, e.highlight_index, e.state_delta, e.edges, e.proof, e.content, e.rest, e.redacted_by, r.room_id, r.room_version`

const selectByNid = statement<LoadedRow>(
  'events by nid',
  `select ${columns} from events e join rooms r using (room) where e.event_nid = any($1::int8[])`,
)
const selectById = statement<LoadedRow>(
  'events by id',
  `select ${columns} from events e join rooms r using (room) where e.event_id = any($1::bytea[])`,
)
const selectState = statement<LoadedRow & { from_position: number }>(
  'current state by kind',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.kind = any($2::int[]) and s.to_position is null`,
)
const selectAllState = statement<LoadedRow & { from_position: number }>(
  'current state',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.to_position is null`,
)
const selectStateAt = statement<LoadedRow & { from_position: number }>(
  'state at a position',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.from_position <= $2 and (s.to_position is null or s.to_position > $2)
     and ($3::int[] is null or s.kind = any($3::int[]))`,
)
const selectMembers = statement<LoadedRow & { from_position: number }>(
  'members of a room',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.is_member and s.from_position <= $2 and (s.to_position is null or s.to_position > $2)`,
)
const selectStatesAt = statement<LoadedRow & { from_position: number }>(
  'states of rooms',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int8[]) as w(room, position)
   join room_state s on s.room = w.room and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position) and (not s.is_member or $3)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectEntriesAt = statement<LoadedRow & { from_position: number }>(
  'entries of states',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int[], $3::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectChanges = statement<LoadedRow & { from_position: number }>(
  'changes of states',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to)
   join room_state s on s.room = w.room and s.from_position > w.after and s.from_position <= w.up_to
     and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectHistory = statement<LoadedRow & { from_position: number; to_position: number | null }>(
  'history of entries',
  `select ${columns}, s.from_position, s.to_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = any($1::int[]) and s.kind = any($2::int[]) order by s.from_position`,
)
const selectReplaced = statement<LoadedRow & { replaced_at: number }>(
  'replaced entries',
  `select ${columns}, s.to_position as replaced_at from unnest($1::int[], $2::int[], $3::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.to_position = w.position
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectForward = statement<LoadedRow>(
  'timeline forwards',
  `select ${columns} from events e join rooms r using (room)
   where e.room = $1 and e.timeline > $2 and e.timeline <= $3 order by e.timeline limit $4`,
)
const selectBackward = statement<LoadedRow>(
  'timeline backwards',
  `select ${columns} from events e join rooms r using (room)
   where e.room = $1 and e.timeline <= $2 and e.timeline > $3 order by e.timeline desc limit $4`,
)
const selectNewest = statement<LoadedRow>(
  'newest timelines',
  `select ${columns} from unnest($1::int[]) as w(room) join rooms r using (room)
   cross join lateral (
     select * from events where events.room = w.room and events.timeline > $2 and events.timeline <= $3
     order by timeline desc limit $4) e`,
)
// With `from_position` an entry of the state, else an event of a timeline.
const selectTimelines = statement<LoadedRow & { from_position: number | null; to_position: number | null }>(
  'timelines and what decides about seeing them',
  `select ${columns}, null as from_position, null as to_position
   from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to) join rooms r using (room)
   cross join lateral (
     select * from events where events.room = w.room and events.timeline > w.after and events.timeline <= w.up_to
     order by timeline desc limit $4) e
   union all
   select ${columns}, s.from_position, s.to_position from event_kinds k
   join room_state s on s.room = any($5::int[]) and s.kind = k.kind
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where k.type = 'm.room.history_visibility' and k.state_key = '' or k.type = 'm.room.member' and k.state_key = $6`,
)

/** What of the state of a room is read with a timeline, which begins after `start`. */
export type StateWanted = {
  readonly room: number
  /** The changes after this position; undefined: the whole state. */
  readonly after: number | undefined
  readonly start: number
  readonly upTo: number
}

export type StateRow = { readonly stored: StoredEvent; readonly from: number; readonly to: number | null }

// Entries that were in force at the start of the timeline, or came to be in it and still are at its end.
const selectStateSpans = statement<LoadedRow & { from_position: number; to_position: number | null; part: string }>(
  'states around timelines',
  `select ${columns}, s.from_position, s.to_position, 'whole' as part
   from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, start, up_to)
   join room_state s on s.room = w.room and s.from_position <= w.up_to and (not s.is_member or $4)
     and (s.to_position is null or s.to_position > case when s.from_position <= w.start then w.start else w.up_to end)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'changed'
   from unnest($5::int[], $6::int8[], $7::int8[], $8::int8[]) as w(room, after, start, up_to)
   join room_state s on s.room = w.room and s.from_position > w.after and s.from_position <= w.up_to
     and (s.to_position is null or s.to_position > case when s.from_position <= w.start then w.start else w.up_to end)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'member'
   from unnest($9::int[], $10::text[], $11::int8[]) as w(room, user_id, position)
   join event_kinds k on k.type = 'm.room.member' and k.state_key = w.user_id
   join room_state s on s.room = w.room and s.kind = k.kind and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'replaced'
   from unnest($12::int[], $13::int[], $14::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.to_position = w.position
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectWanted = statement<LoadedRow>(
  'wanted state',
  `select ${columns} from unnest($1::int[], $2::text[], $3::text[], $4::int8[], $5::int8[])
     as w(room, type, state_key, after, up_to)
   join event_kinds k on k.type = w.type and k.state_key = w.state_key
   join room_state s on s.room = w.room and s.kind = k.kind and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns} from unnest($6::int[], $7::text[], $8::int8[], $9::int8[]) as w(room, type, after, up_to)
   join room_state s on s.room = w.room and not s.is_member and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join event_kinds k on k.kind = s.kind and (w.type is null or k.type = w.type)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns} from unnest($10::int[], $11::int8[], $12::int8[]) as w(room, after, up_to)
   join room_state s on s.room = w.room and s.is_member and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
const selectIds = statement<{ event_nid: number; event_id: Buffer }>(
  'event ids by nid',
  'select event_nid, event_id from events where event_nid = any($1::int8[])',
)

/** A span of a room's state: what came to be in it after a position (−1: everything) and is in it at another. */
export type StateSpan = { readonly room: number; readonly after: number; readonly upTo: number }

/** Parts of the states of rooms: single keys, all that is not a member (of a type, or null: of any), and the members. */
export type WantedState = {
  readonly keys: readonly (StateSpan & { readonly type: string; readonly stateKey: string })[]
  readonly settings: readonly (StateSpan & { readonly type: string | null })[]
  readonly members: readonly StateSpan[]
}

export type RoomPosition = { readonly room: number; readonly position: number }

/** Reads of events. `rulesOf` gives the rules of a room version that is in the database, so is supported. */
export type EventStore = {
  byNids(nids: readonly number[], options?: { edges?: boolean }): Promise<StoredEvent[]>
  byIds(ids: readonly EventId[], options?: { edges?: boolean }): Promise<StoredEvent[]>
  /** Entries of the current state; all of them when no kinds are given. */
  currentState(room: number, kinds?: readonly number[]): Promise<{ stored: StoredEvent; since: number }[]>
  /** The resolved state as it was at a position. */
  stateAt(room: number, position: number, kinds?: readonly number[]): Promise<StoredEvent[]>
  /** The membership events in force, at a position or now. */
  members(room: number, position?: number): Promise<StoredEvent[]>
  /** The states of several rooms, each at its position, with or without members. One statement. */
  statesAt(at: readonly RoomPosition[], options: { members: boolean }): Promise<StoredEvent[]>
  /** Entries of the states of several rooms at positions. One statement. */
  entriesAt(at: readonly (RoomPosition & { readonly kind: number })[]): Promise<StoredEvent[]>
  /** The entries that differ between two positions of a room, as they are at the later one. One statement. */
  changes(
    between: readonly { readonly room: number; readonly after: number; readonly upTo: number }[],
  ): Promise<StoredEvent[]>
  /** What keys of the states of rooms held over time, oldest first. One statement. */
  history(
    rooms: readonly number[],
    kinds: readonly number[],
  ): Promise<{ stored: StoredEvent; from: number; to: number | null }[]>
  /** Parts of the states of rooms. One statement; an event may come twice. */
  wantedState(wanted: WantedState): Promise<StoredEvent[]>
  /** What state events replaced when they took effect, by the number of the replacing event. One statement. */
  replacedBy(events: readonly StoredEvent[]): Promise<Map<number, StoredEvent>>
  /** From the event after `from` up to and with `to`, oldest first. */
  forward(room: number, from: number, to: number, limit: number): Promise<StoredEvent[]>
  /** From `from` back to the event after `to`, newest first. */
  backward(room: number, from: number, to: number, limit: number): Promise<StoredEvent[]>
  /** The newest `limit` events of each room in (after, upTo], newest first within a room. One statement. */
  newest(rooms: readonly number[], after: number, upTo: number, limit: number): Promise<StoredEvent[]>
  /**
   * The newest `limit` events of rooms, each in its span, newest first within a room; and of other rooms what the
   * visibility of the history and a user's membership were over time. One statement.
   */
  timelines(wanted: {
    readonly spans: readonly { readonly room: number; readonly after: number; readonly upTo: number }[]
    readonly limit: number
    readonly historyOf: readonly number[]
    readonly userId: UserId
  }): Promise<{ events: StoredEvent[]; history: StateRow[] }>
  /**
   * What of the states of rooms goes with their timelines, memberships of some users, and what state events replaced (by
   * the number of the replacing event). One statement.
   */
  statesAround(wanted: {
    readonly rooms: readonly StateWanted[]
    /** Whether whole states come with their members. */
    readonly members: boolean
    readonly memberships: readonly (RoomPosition & { readonly userId: UserId })[]
    readonly replacedBy: readonly StoredEvent[]
  }): Promise<{ state: StateRow[]; memberships: StoredEvent[]; replaced: Map<number, StoredEvent> }>
}

export function createEventStore(
  database: Pick<Database, 'read'>,
  dictionaries: Dictionaries,
  rulesOf: (roomVersion: string) => RoomRules,
): EventStore {
  const idsOf = async (rows: readonly LoadedRow[]): Promise<Map<number, Buffer>> => {
    const wanted = new Set<number>()
    for (const row of rows) {
      const { prev, auth } = decodeEdges(row.event_nid, row.edges ?? Buffer.alloc(1))
      for (const nid of prev) wanted.add(nid)
      for (const nid of auth) wanted.add(nid)
    }
    if (wanted.size === 0) return new Map()
    const found = await database.read(selectIds, [[...wanted]])
    return new Map(found.map((row) => [row.event_nid, row.event_id]))
  }

  const stored = async (rows: readonly LoadedRow[], edges: boolean): Promise<StoredEvent[]> => {
    if (rows.length === 0) return []
    const [kinds, users, ids] = await Promise.all([
      dictionaries.kinds(new Set(rows.map((row) => row.kind))),
      dictionaries.userIds(new Set(rows.map((row) => row.sender))),
      edges ? idsOf(rows) : undefined,
    ])
    return rows.map((row) => {
      const rules = rulesOf(row.room_version)
      return {
        nid: row.event_nid,
        room: row.room,
        timeline: row.timeline,
        flags: row.flags,
        notifyIndex: row.notify_index,
        highlightIndex: row.highlight_index,
        stateDelta: row.state_delta,
        kind: row.kind,
        senderNid: row.sender,
        redactedBy: row.redacted_by,
        inColumns: { edges: !row.rest?.includes('"prev_events"'), proof: row.proof !== null },
        event: decodeEvent(row, rules, kinds.get(row.kind)!, users.get(row.sender)!, ids),
      }
    })
  }

  const stateEntries = async (rows: readonly (LoadedRow & { from_position: number })[]) => {
    const events = await stored(rows, false)
    return events.map((event, index) => ({ stored: event, since: rows[index]!.from_position }))
  }

  return {
    byNids: async (nids, options) =>
      nids.length === 0 ? [] : stored(await database.read(selectByNid, [nids]), options?.edges ?? false),
    byIds: async (ids, options) =>
      ids.length === 0 ? [] : stored(await database.read(selectById, [ids.map(eventIdBytes)]), options?.edges ?? false),
    currentState: async (room, kinds) =>
      stateEntries(
        kinds ? await database.read(selectState, [room, kinds]) : await database.read(selectAllState, [room]),
      ),
    stateAt: async (room, position, kinds) =>
      stored(await database.read(selectStateAt, [room, position, kinds ?? null]), false),
    members: async (room, position = Number.MAX_SAFE_INTEGER) =>
      stored(await database.read(selectMembers, [room, position]), false),
    statesAt: async (at, { members }) =>
      at.length === 0
        ? []
        : stored(
            await database.read(selectStatesAt, [
              at.map(({ room }) => room),
              at.map(({ position }) => position),
              members,
            ]),
            false,
          ),
    entriesAt: async (at) =>
      at.length === 0
        ? []
        : stored(
            await database.read(selectEntriesAt, [
              at.map(({ room }) => room),
              at.map(({ kind }) => kind),
              at.map(({ position }) => position),
            ]),
            false,
          ),
    changes: async (between) =>
      between.length === 0
        ? []
        : stored(
            await database.read(selectChanges, [
              between.map(({ room }) => room),
              between.map(({ after }) => after),
              between.map(({ upTo }) => upTo),
            ]),
            false,
          ),
    history: async (rooms, kinds) => {
      const rows = await database.read(selectHistory, [rooms, kinds])
      const events = await stored(rows, false)
      return events.map((event, index) => ({
        stored: event,
        from: rows[index]!.from_position,
        to: rows[index]!.to_position,
      }))
    },
    wantedState: async ({ keys, settings, members }) => {
      if (keys.length + settings.length + members.length === 0) return []
      const spans = (list: readonly StateSpan[]): number[][] => [
        list.map(({ after }) => after),
        list.map(({ upTo }) => upTo),
      ]
      const rows = await database.read(selectWanted, [
        keys.map(({ room }) => room),
        keys.map(({ type }) => type),
        keys.map(({ stateKey }) => stateKey),
        ...spans(keys),
        settings.map(({ room }) => room),
        settings.map(({ type }) => type),
        ...spans(settings),
        members.map(({ room }) => room),
        ...spans(members),
      ])
      return stored(rows, false)
    },
    replacedBy: async (events) => {
      const states = events.filter((event) => (event.flags & EventFlags.state) !== 0)
      if (states.length === 0) return new Map()
      const rows = await database.read(selectReplaced, [
        states.map((event) => event.room),
        states.map((event) => event.kind),
        states.map((event) => event.timeline ?? event.nid),
      ])
      const replaced = await stored(rows, false)
      const byPlace = new Map(replaced.map((event, index) => [`${rows[index]!.replaced_at} ${event.kind}`, event]))
      const found = new Map<number, StoredEvent>()
      for (const event of states) {
        const before = byPlace.get(`${event.timeline ?? event.nid} ${event.kind}`)
        if (before && before.nid !== event.nid) found.set(event.nid, before)
      }
      return found
    },
    forward: async (room, from, to, limit) =>
      stored(await database.read(selectForward, [room, from, to, limit]), false),
    backward: async (room, from, to, limit) =>
      stored(await database.read(selectBackward, [room, from, to, limit]), false),
    newest: async (rooms, after, upTo, limit) =>
      stored(await database.read(selectNewest, [rooms, after, upTo, limit]), false),
    timelines: async ({ spans, limit, historyOf, userId }) => {
      if (spans.length + historyOf.length === 0) return { events: [], history: [] }
      const rows = await database.read(selectTimelines, [
        spans.map(({ room }) => room),
        spans.map(({ after }) => after),
        spans.map(({ upTo }) => upTo),
        limit,
        historyOf,
        userId,
      ])
      const found = await stored(rows, false)
      const history = found.flatMap((event, index): StateRow[] => {
        const { from_position: from, to_position: to } = rows[index]!
        return from === null ? [] : [{ stored: event, from, to }]
      })
      return { events: found.filter((_, index) => rows[index]!.from_position === null), history }
    },
    statesAround: async ({ rooms, members, memberships, replacedBy }) => {
      const replacing = replacedBy.filter((event) => (event.flags & EventFlags.state) !== 0)
      if (rooms.length + memberships.length + replacing.length === 0) {
        return { state: [], memberships: [], replaced: new Map() }
      }
      const whole = rooms.filter(({ after }) => after === undefined)
      const changed = rooms.filter(({ after }) => after !== undefined)
      const rows = await database.read(selectStateSpans, [
        whole.map(({ room }) => room),
        whole.map(({ start }) => start),
        whole.map(({ upTo }) => upTo),
        members,
        changed.map(({ room }) => room),
        changed.map(({ after }) => after),
        changed.map(({ start }) => start),
        changed.map(({ upTo }) => upTo),
        memberships.map(({ room }) => room),
        memberships.map(({ userId }) => userId),
        memberships.map(({ position }) => position),
        replacing.map((event) => event.room),
        replacing.map((event) => event.kind),
        replacing.map((event) => event.timeline ?? event.nid),
      ])
      const events = await stored(rows, false)
      const parts = events.map((event, index) => ({ stored: event, row: rows[index]! }))
      const before = new Map<string, StoredEvent>()
      for (const { stored: event, row } of parts) {
        if (row.part === 'replaced') before.set(`${row.to_position} ${event.kind}`, event)
      }
      const replaced = new Map<number, StoredEvent>()
      for (const event of replacing) {
        const earlier = before.get(`${event.timeline ?? event.nid} ${event.kind}`)
        if (earlier && earlier.nid !== event.nid) replaced.set(event.nid, earlier)
      }
      return {
        state: parts
          .filter(({ row }) => row.part === 'whole' || row.part === 'changed')
          .map(({ stored: event, row }) => ({ stored: event, from: row.from_position, to: row.to_position })),
        memberships: parts.filter(({ row }) => row.part === 'member').map((one) => one.stored),
        replaced,
      }
    },
  }
}

function decodeEvent(
  row: LoadedRow,
  rules: RoomRules,
  kind: { type: string; stateKey: string | undefined },
  sender: UserId,
  ids: Map<number, Buffer> | undefined,
): RoomEvent {
  const eventId = eventIdText(row.event_id, rules.eventFormat)
  const text = (nid: number): EventId => eventIdText(ids!.get(nid)!, rules.eventFormat)
  const edges = ids && decodeEdges(row.event_nid, row.edges ?? Buffer.alloc(1))
  const rest = (row.rest === null ? {} : JSON.parse(row.rest)) as JsonObject
  const listed = (key: 'prev_events' | 'auth_events', nids: number[] | undefined): readonly Json[] =>
    (rest[key] as readonly Json[] | undefined) ?? nids?.map(text) ?? []
  const prev = listed('prev_events', edges?.prev)
  const auth = listed('auth_events', edges?.auth)
  const namesRoom = !(rules.createEventIsRoomId && kind.type === 'm.room.create' && kind.stateKey === '')
  const signer = sender.slice(sender.indexOf(':') + 1)
  const pdu = {
    ...rest,
    type: kind.type,
    sender,
    ...(namesRoom && { room_id: row.room_id }),
    ...(kind.stateKey !== undefined && { state_key: kind.stateKey }),
    ...(rules.eventFormat === 'v1' && { event_id: eventId }),
    content: JSON.parse(row.content) as JsonObject,
    origin_server_ts: row.origin_server_ts,
    depth: row.depth,
    prev_events: prev,
    auth_events: auth,
    ...(row.proof && decodeProof(row.proof, signer)),
  } as Pdu
  const idsOfEdges = (list: readonly Json[]): EventId[] =>
    list.map((entry) => (Array.isArray(entry) ? entry[0] : entry) as EventId)
  return { eventId, roomId: row.room_id, prevEvents: idsOfEdges(prev), authEvents: idsOfEdges(auth), pdu }
}
