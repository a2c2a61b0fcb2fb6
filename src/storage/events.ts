import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, UserId } from '../matrix/ids.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import type { Database } from './database.ts'
import type { Dictionaries } from './dictionaries.ts'
import { decodeEdges, eventIdBytes } from './event-codec.ts'
import {
  type LoadedRow,
  selectAllState,
  selectBackward,
  selectById,
  selectByNid,
  selectChanges,
  selectEntriesAt,
  selectForward,
  selectForwardInRooms,
  selectHistory,
  selectIds,
  selectMembers,
  selectNewest,
  selectReplaced,
  selectState,
  selectStateAt,
  selectStateSpans,
  selectStatesAt,
  selectTimelines,
  selectWanted,
  selectWholeById,
  selectWholeByNid,
} from './event-queries.ts'
import { decodeEvent } from './event-rows.ts'

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
  /** Characters of its content as JSON; 0 where it is not known. */
  readonly contentLength: number
  /** Which parts of the PDU the binary columns hold; the others are in `rest`. */
  readonly inColumns: { readonly edges: boolean; readonly proof: boolean }
  /** Complete only when loaded with edges; otherwise prev_events and auth_events are empty, and nothing proves it. */
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
    contentLength: 0,
    inColumns: { edges: true, proof: true },
    event: ref.event,
  }
}

/** What of the state of a room is read with a timeline, which begins after `start`. */
export type StateWanted = {
  readonly room: number
  /** The changes after this position; undefined: the whole state. */
  readonly after: number | undefined
  readonly start: number
  readonly upTo: number
}

export type StateRow = { readonly stored: StoredEvent; readonly from: number; readonly to: number | null }

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
  /** The membership events in force. */
  members(room: number): Promise<StoredEvent[]>
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
  /** The oldest `limit` events of all rooms together, each in its span, oldest first. One statement. */
  forwardInRooms(
    spans: readonly { readonly room: number; readonly after: number; readonly upTo: number }[],
    limit: number,
  ): Promise<StoredEvent[]>
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
        contentLength: row.content.length,
        inColumns: { edges: !row.rest?.includes('"prev_events"'), proof: !row.rest?.includes('"hashes"') },
        event: decodeEvent(row, rules, kinds.get(row.kind)!, users.get(row.sender)!, ids),
      }
    })
  }

  const stateEntries = async (rows: readonly (LoadedRow & { from_position: number })[]) => {
    const events = await stored(rows, false)
    return events.map((event, index) => ({ stored: event, since: rows[index]!.from_position }))
  }

  return {
    byNids: async (nids, { edges = false } = {}) =>
      nids.length === 0 ? [] : stored(await database.read(edges ? selectWholeByNid : selectByNid, [nids]), edges),
    byIds: async (ids, { edges = false } = {}) =>
      ids.length === 0
        ? []
        : stored(await database.read(edges ? selectWholeById : selectById, [ids.map(eventIdBytes)]), edges),
    currentState: async (room, kinds) =>
      stateEntries(
        kinds ? await database.read(selectState, [room, kinds]) : await database.read(selectAllState, [room]),
      ),
    stateAt: async (room, position, kinds) =>
      stored(await database.read(selectStateAt, [room, position, kinds ?? null]), false),
    members: async (room) => stored(await database.read(selectMembers, [room]), false),
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
    forwardInRooms: async (spans, limit) => {
      if (spans.length === 0) return []
      const rows = await database.read(selectForwardInRooms, [
        spans.map(({ room }) => room),
        spans.map(({ after }) => after),
        spans.map(({ upTo }) => upTo),
        limit,
      ])
      return stored(rows, false)
    },
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
