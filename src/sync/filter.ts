import { type Static, Type } from '@sinclair/typebox'
import type { Pdu } from '../matrix/event.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_TIMELINE_EVENTS } from '../matrix/limits.ts'
import type { RelatedBy } from '../rooms/related-by.ts'
import { relationOf } from '../rooms/relations.ts'

/**
 * Filters as clients send them. Spec: Client-Server API, "Filtering". Unknown keys pass.
 */
const strings = Type.Array(Type.String())
const eventFilter = {
  limit: Type.Optional(Type.Integer({ minimum: 0 })),
  types: Type.Optional(strings),
  not_types: Type.Optional(strings),
  senders: Type.Optional(Type.Array(Type.String({ pattern: '^@' }))),
  not_senders: Type.Optional(Type.Array(Type.String({ pattern: '^@' }))),
}
const roomIds = Type.Array(Type.String({ pattern: '^!' }))
const roomEventFilter = {
  ...eventFilter,
  rooms: Type.Optional(roomIds),
  not_rooms: Type.Optional(roomIds),
  contains_url: Type.Optional(Type.Boolean()),
  lazy_load_members: Type.Optional(Type.Boolean()),
  include_redundant_members: Type.Optional(Type.Boolean()),
  unread_thread_notifications: Type.Optional(Type.Boolean()),
  related_by_senders: Type.Optional(strings),
  related_by_rel_types: Type.Optional(strings),
}
/** Spec: MSC3874. */
const relationFilter = {
  'org.matrix.msc3874.rel_types': Type.Optional(strings),
  'org.matrix.msc3874.not_rel_types': Type.Optional(strings),
}
export const relationFilterSchema = Type.Object(relationFilter)
export const roomEventFilterSchema = Type.Object(roomEventFilter)
export const filterSchema = Type.Object({
  event_fields: Type.Optional(strings),
  event_format: Type.Optional(Type.Union([Type.Literal('client'), Type.Literal('federation')])),
  presence: Type.Optional(Type.Object(eventFilter)),
  account_data: Type.Optional(Type.Object(eventFilter)),
  'org.matrix.msc4429.profile_fields': Type.Optional(Type.Object({ ids: Type.Optional(strings) })),
  room: Type.Optional(
    Type.Object({
      rooms: Type.Optional(roomIds),
      not_rooms: Type.Optional(roomIds),
      include_leave: Type.Optional(Type.Boolean()),
      timeline: Type.Optional(roomEventFilterSchema),
      state: Type.Optional(roomEventFilterSchema),
      ephemeral: Type.Optional(roomEventFilterSchema),
      account_data: Type.Optional(roomEventFilterSchema),
    }),
  ),
})
export type FilterJson = Static<typeof filterSchema>
export type RoomEventFilterJson = Static<typeof roomEventFilterSchema>
export type RelationFilterJson = Static<typeof relationFilterSchema>

/** What a part of a filter lets through; undefined where it says nothing. */
export type EventFilter = {
  readonly limit: number
  readonly lazyLoadMembers: boolean
  readonly includeRedundantMembers: boolean
  readonly unreadThreadNotifications: boolean
  readonly allowsRoom: (roomId: string) => boolean
  /** What has to relate to an event for it to pass; undefined: nothing. */
  readonly relatedBy: RelatedBy | undefined
  /** For what has no sender. */
  readonly allowsType: (type: string) => boolean
  /** Undefined: everything passes. */
  readonly allows: ((event: Pick<Pdu, 'type' | 'sender' | 'content'>) => boolean) | undefined
}

export type SyncFilter = {
  readonly allowsRoom: (roomId: string) => boolean
  readonly includeLeave: boolean
  readonly timeline: EventFilter
  readonly state: EventFilter
  readonly ephemeral: EventFilter
  readonly roomAccountData: EventFilter
  readonly accountData: EventFilter
  readonly presence: EventFilter
  readonly eventFields: readonly string[] | undefined
  /** Events as servers send them to one another. */
  readonly isFederationFormat: boolean
  /** Fields of profiles that are told. Spec: MSC4429. */
  readonly profileFields: readonly string[]
}

const defaultLimit = 10
const mostProfileFields = 100

export function compileFilter(filter: FilterJson): SyncFilter {
  const room = filter.room ?? {}
  return {
    allowsRoom: roomTest(room.rooms, room.not_rooms),
    includeLeave: room.include_leave ?? false,
    timeline: compileEventFilter(room.timeline),
    state: compileEventFilter(room.state),
    ephemeral: compileEventFilter(room.ephemeral),
    roomAccountData: compileEventFilter(room.account_data),
    accountData: compileEventFilter(filter.account_data),
    presence: compileEventFilter(filter.presence),
    eventFields: filter.event_fields,
    isFederationFormat: filter.event_format === 'federation',
    profileFields: filter['org.matrix.msc4429.profile_fields']?.ids?.slice(0, mostProfileFields) ?? [],
  }
}

export function compileEventFilter(filter: RoomEventFilterJson = {}): EventFilter {
  return {
    limit: Math.min(filter.limit ?? defaultLimit, MAX_TIMELINE_EVENTS),
    lazyLoadMembers: filter.lazy_load_members ?? false,
    includeRedundantMembers: filter.include_redundant_members ?? false,
    unreadThreadNotifications: filter.unread_thread_notifications ?? false,
    allowsRoom: roomTest(filter.rooms, filter.not_rooms),
    relatedBy:
      filter.related_by_senders || filter.related_by_rel_types
        ? { senders: filter.related_by_senders, relTypes: filter.related_by_rel_types }
        : undefined,
    allowsType: typeTest(filter),
    allows: eventTest(filter),
  }
}

function roomTest(rooms: readonly string[] | undefined, notRooms: readonly string[] | undefined) {
  const allowed = rooms && new Set(rooms)
  const refused = new Set(notRooms)
  return (roomId: string): boolean => !refused.has(roomId) && (allowed?.has(roomId) ?? true)
}

function eventTest(filter: RoomEventFilterJson): EventFilter['allows'] {
  const { types, not_types, senders, not_senders, contains_url } = filter
  if (!types && !not_types && !senders && !not_senders && contains_url === undefined) return undefined
  const allowsType = typeTest(filter)
  const sender = senders && new Set(senders)
  const notSender = new Set(not_senders)
  return (event) =>
    allowsType(event.type) &&
    (sender?.has(event.sender) ?? true) &&
    !notSender.has(event.sender) &&
    (contains_url === undefined || contains_url === hasUrl(event.content))
}

function typeTest({ types, not_types }: RoomEventFilterJson): (type: string) => boolean {
  const type = types?.map(wildcard)
  const notType = not_types?.map(wildcard) ?? []
  return (text) =>
    (type === undefined || type.some((matches) => matches(text))) && !notType.some((matches) => matches(text))
}

function hasUrl(content: JsonObject): boolean {
  return typeof content.url === 'string'
}

/** Whether an event relates to another in one of the wanted ways, and in none of the others. Spec: MSC3874. */
export function relationTest(filter: RelationFilterJson): EventFilter['allows'] {
  const { 'org.matrix.msc3874.rel_types': relTypes, 'org.matrix.msc3874.not_rel_types': notRelTypes } = filter
  if (!relTypes && !notRelTypes) return undefined
  const [wanted, refused] = [relTypes && new Set(relTypes), new Set(notRelTypes)]
  return ({ content }) => {
    const relType = relationOf(content)?.relType
    return relType === undefined ? wanted === undefined : !refused.has(relType) && (wanted?.has(relType) ?? true)
  }
}

/** A type in a filter: `*` stands for any sequence of characters. Linear in the text for each part of the pattern. */
export function wildcard(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return (text) => text === pattern
  const first = parts[0]!
  const last = parts.at(-1)!
  const middle = parts.slice(1, -1)
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
    let from = first.length
    const end = text.length - last.length
    for (const part of middle) {
      const at = text.indexOf(part, from)
      if (at < 0 || at + part.length > end) return false
      from = at + part.length
    }
    return true
  }
}
