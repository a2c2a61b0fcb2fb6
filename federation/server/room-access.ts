import type { Context } from '../../src/context.ts'
import { type StreamedJson, streamedJson } from '../../src/http/response.ts'
import { jsonText } from '../../src/matrix/canonical-json.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { Pdu } from '../../src/matrix/event.ts'
import { parseEventId, parseRoomId, type ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { redact } from '../../src/matrix/redaction.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { stateAt, wholeState } from '../../src/rooms/state-at.ts'
import { contentField } from '../../src/storage/content-field.ts'
import { statement } from '../../src/storage/database.ts'
import { domainOf, isServerInRoom } from '../../src/storage/destinations.ts'
import { EventFlags, type StoredEvent } from '../../src/storage/events.ts'
import { arrayText } from '../../src/storage/operation.ts'
import type { Federation } from '../federation.ts'
import { refuseByAcl } from '../server-acl.ts'

/**
 * Which of some positions a server may see: those where the visibility hides nothing from it, and those at which it had a
 * member. What came before the first known state is judged by that.
 */
const positionsSeen = statement<{ at: string }>(
  'positions that a server sees',
  `with asked as (
     select p.at, greatest(p.at, (select min(from_position) from room_state where room = $1)) as judged
     from unnest($3::bigint[]) as p(at)
   ), visibility as (
     select a.at, a.judged, coalesce((
       select ${contentField('e.content', 'history_visibility')} from room_state s join event_kinds k using (kind)
       join events e on e.event_nid = s.event_nid
       where s.room = $1 and k.type = 'm.room.history_visibility' and k.state_key = ''
         and s.from_position <= a.judged and (s.to_position is null or s.to_position > a.judged)), 'shared') as value
     from asked a
   )
   select v.at::text from visibility v where v.value not in ('joined', 'invited') or exists (
     select 1 from room_state s join event_kinds k using (kind) join events e on e.event_nid = s.event_nid
     where s.room = $1 and s.is_member and s.from_position <= v.judged
       and (s.to_position is null or s.to_position >= v.judged)
       and ${domainOf('k.state_key')} = $2
       and (${contentField('e.content', 'membership')} = 'join'
         or (v.value = 'invited' and ${contentField('e.content', 'membership')} = 'invite')))`,
)

/** Unknown, elsewhere and hidden are one and the same answer. */
export function notFound(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'Event not found')
}

export function notInRoom(): MatrixError {
  return new MatrixError('M_FORBIDDEN', 'Your server is not in this room')
}

/**
 * A room, for a server that is in it and not banned by its ACL.
 *
 * @throws MatrixError M_FORBIDDEN, also for a room that is not known.
 */
export async function roomForServer({ ctx }: Federation, roomId: string, origin: ServerName): Promise<HotRoom> {
  const parsed = parseRoomId(roomId)
  const room = parsed && (await ctx.hotRooms.get(parsed))
  if (!room || !(await isInRoom(ctx, room, origin))) throw notInRoom()
  refuseByAcl(room, origin)
  return room
}

export async function isInRoom(ctx: Pick<Context, 'database'>, room: HotRoom, server: ServerName): Promise<boolean> {
  return (await ctx.database.read(isServerInRoom, [room.room, server])).length > 0
}

/**
 * An event of a room, with its edges.
 *
 * @throws MatrixError M_NOT_FOUND for one that is unknown, of another room or was rejected.
 */
export async function eventInRoom({ ctx }: Federation, room: HotRoom, eventId: string): Promise<StoredEvent> {
  const parsed = parseEventId(eventId)
  const [stored] = parsed === undefined ? [] : await ctx.events.byIds([parsed], { edges: true })
  if (stored?.room !== room.room || (stored.flags & EventFlags.rejected) !== 0) throw notFound()
  return stored
}

/** What of a room's history a server may see: where the visibility says so, only what happened while it was there. */
export async function visibleToServer(
  { ctx }: Federation,
  room: HotRoom,
  server: ServerName,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  if (events.length === 0) return []
  const positions = [...new Set(events.map(positionOf))]
  const rows = await ctx.database.read(positionsSeen, [room.room, server, arrayText(positions)])
  const seen = new Set(rows.map(({ at }) => Number(at)))
  return events.filter((event) => seen.has(positionOf(event)))
}

function positionOf(event: StoredEvent): number {
  return event.timeline ?? 0
}

/** The same, where the graph has to stay in one piece: what the server may not see is there without its content. */
export async function prunedForServer(
  federation: Federation,
  room: HotRoom,
  server: ServerName,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  const visible = new Set(await visibleToServer(federation, room, server, events))
  return events.map((stored) => {
    if (visible.has(stored)) return stored
    return { ...stored, event: { ...stored.event, pdu: redact(stored.event.pdu, room.rules) } }
  })
}

/** Numbers of events: a state, and its auth chain. */
export type StateWithChain = { readonly state: readonly number[]; readonly authChain: readonly number[] }

/**
 * The state before an event, and the auth chain of that state.
 *
 * @throws MatrixError M_NOT_FOUND when it is not known.
 */
export async function stateWithChain({ ctx }: Federation, room: HotRoom, stored: StoredEvent): Promise<StateWithChain> {
  if (room.partialState) throw new MatrixError('M_FORBIDDEN', 'The members of the room are not known here yet')
  const before = await stateAt(ctx, stored, 'before')
  const whole = before.known ? await wholeState(ctx, room, before.value) : before
  if (!whole.known) throw notFound()
  const state = [...whole.value.values()]
  return { state, authChain: await ctx.hotRooms.authGraphs.chainOf(room, state) }
}

/** Events that are loaded at a time for an answer with many. */
const eventsAtOnce = 500

/**
 * An answer with lists of events, which are loaded while it is sent: there may be as many as a large room has members.
 *
 * @param options.inPair As the oldest operations have it: `[200, answer]`.
 */
export function answerWithEvents(
  { ctx }: Federation,
  head: JsonObject,
  lists: { readonly [name: string]: readonly number[] },
  { inPair = false } = {},
): StreamedJson {
  const pieces = async function* (): AsyncGenerator<string> {
    yield `${inPair ? '[200,' : ''}${jsonText(head).slice(0, -1)}`
    let isFirst = Object.keys(head).length === 0
    for (const [name, nids] of Object.entries(lists)) {
      yield `${isFirst ? '' : ','}"${name}":[`
      isFirst = false
      for (let start = 0; start < nids.length; start += eventsAtOnce) {
        const events = await ctx.events.byNids(nids.slice(start, start + eventsAtOnce), { edges: true })
        const texts = events.map(({ event }) => jsonText(event.pdu as unknown as JsonObject)).join(',')
        yield start === 0 ? texts : `,${texts}`
      }
      yield ']'
    }
    yield inPair ? '}]' : '}'
  }
  return streamedJson(pieces())
}

export function pdusOf(events: readonly StoredEvent[]): Pdu[] {
  return events.map(({ event }) => event.pdu)
}
