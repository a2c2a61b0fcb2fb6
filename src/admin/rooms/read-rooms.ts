import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type EventId, parseEventId, parseRoomId, type RoomId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { clientEvent } from '../../rooms/client-event.ts'
import { spaceHierarchy } from '../../rooms/space-hierarchy.ts'
import { eventNearest, joinedUserIds } from '../../storage/admin-rooms.ts'
import type { StoredEvent } from '../../storage/events.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'
import { limit } from '../schemas.ts'
import { knownRoom } from './known-room.ts'

const params = { roomId: parseRoomId }
const oldest = -Number.MAX_SAFE_INTEGER

export const roomMembers = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/members',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const room = await knownRoom(ctx, params.roomId)
    const rows = await ctx.database.read(joinedUserIds, [room.room])
    return { members: rows.map((row) => row.user_id), total: rows.length }
  },
})

export const roomState = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/state',
  auth: 'admin',
  params,
  query: Type.Object({ type: Type.Optional(Type.String()) }),
  async handle(ctx, { params, query }) {
    const room = await knownRoom(ctx, params.roomId)
    const entries = (await ctx.events.currentState(room.room)).map(({ stored }) => stored)
    const wanted = query.type === undefined ? entries : entries.filter(({ event }) => event.pdu.type === query.type)
    return { state: wanted.map((stored) => shown(ctx.clock.now(), stored)) }
  },
})

/** What is below a space, as far as it is here, whoever may look into it. */
export const roomHierarchy = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/hierarchy',
  auth: 'admin',
  params,
  query: Type.Object({
    from: Type.Optional(Type.String()),
    limit,
    max_depth: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { params, query }) {
    const { roomId } = await knownRoom(ctx, params.roomId)
    const { from, limit: most, max_depth: maxDepth } = query
    return spaceHierarchy(ctx, roomId, undefined, { suggestedOnly: false, maxDepth, limit: most, from })
  },
})

/** A page of the timeline as it is stored, whoever might see it in the room. */
export const roomMessages = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/messages',
  auth: 'admin',
  params,
  query: Type.Object({
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
    limit,
    filter: Type.Optional(Type.String()),
  }),
  async handle(ctx, { params, query }) {
    const { room } = await knownRoom(ctx, params.roomId)
    const backwards = query.dir !== 'f'
    const from = query.from === undefined ? (backwards ? ctx.stream.position : oldest) : parseTimelineToken(query.from)
    const to = query.to === undefined ? undefined : parseTimelineToken(query.to)
    const { limit = 10 } = query
    const events = backwards
      ? await ctx.events.backward(room, from, to ?? oldest, limit)
      : await ctx.events.forward(room, from, to ?? ctx.stream.position, limit)
    const { allows } = roomEventFilterOf(query.filter)
    const now = ctx.clock.now()
    const last = events.at(-1)?.timeline
    return {
      chunk: events.filter(({ event }) => allows?.(event.pdu) ?? true).map((stored) => shown(now, stored)),
      start: formatTimelineToken(from),
      ...(last != null && events.length === limit && { end: formatTimelineToken(backwards ? last - 1 : last) }),
      state: [],
    }
  },
})

export const roomContext = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/context/{eventId}',
  auth: 'admin',
  params: { ...params, eventId: parseEventId },
  query: Type.Object({ limit, filter: Type.Optional(Type.String()) }),
  async handle(ctx, { params, query }) {
    const { room } = await knownRoom(ctx, params.roomId)
    const [stored] = await ctx.events.byIds([params.eventId as EventId])
    if (!stored || stored.room !== room || stored.timeline === null) {
      throw new MatrixError('M_NOT_FOUND', 'Event not found')
    }
    const { limit = 10 } = query
    const half = Math.floor(limit / 2)
    const [before, after, state] = await Promise.all([
      ctx.events.backward(room, stored.timeline - 1, oldest, half),
      ctx.events.forward(room, stored.timeline, ctx.stream.position, limit - half),
      ctx.events.currentState(room),
    ])
    const now = ctx.clock.now()
    return {
      event: shown(now, stored),
      events_before: before.map((one) => shown(now, one)),
      events_after: after.map((one) => shown(now, one)),
      state: state.map((entry) => shown(now, entry.stored)),
      start: formatTimelineToken((before.at(-1)?.timeline ?? stored.timeline) - 1),
      end: formatTimelineToken(after.at(-1)?.timeline ?? stored.timeline),
    }
  },
})

export const roomTimestampToEvent = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}/timestamp_to_event',
  auth: 'admin',
  params,
  query: Type.Object({
    ts: Type.Integer({ minimum: 0 }),
    dir: Type.Optional(Type.Union([Type.Literal('f'), Type.Literal('b')])),
  }),
  async handle(ctx, { params, query }) {
    const { room } = await knownRoom(ctx, params.roomId)
    const [row] = await ctx.database.read(eventNearest[query.dir ?? 'f'], [room, query.ts])
    const [stored] = row ? await ctx.events.byNids([row.event_nid]) : []
    if (!stored) throw new MatrixError('M_NOT_FOUND', 'No event at that time')
    return { event_id: stored.event.eventId, origin_server_ts: stored.event.pdu.origin_server_ts }
  },
})

export const fetchEvent = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/fetch_event/{eventId}',
  auth: 'admin',
  params: { eventId: parseEventId },
  async handle(ctx, { params }) {
    const [stored] = await ctx.events.byIds([params.eventId])
    if (!stored) throw new MatrixError('M_NOT_FOUND', 'Event not found')
    return { event: shown(ctx.clock.now(), stored) }
  },
})

function shown(now: number, stored: StoredEvent): JsonObject {
  return clientEvent(stored, { now, roomId: stored.event.roomId as RoomId })
}
