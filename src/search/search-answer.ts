import type { Context } from '../context.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { describeEvents, type Reader } from '../rooms/describe-events.ts'
import type { ViewerHistory } from '../rooms/history-visibility.ts'
import { describeState } from '../rooms/read-state.ts'
import type { StoredEvent } from '../storage/events.ts'
import { contextsOf, type WantedContext } from './result-context.ts'
import { type FoundEvent, type MessageSearch, placeOf, type SearchEngine, searchMessages } from './search-messages.ts'
import { formatSearchToken } from './search-token.ts'
import { writtenWords } from './searchable.ts'

type Engine = SearchEngine & Pick<Context, 'hotRooms'>

export type WantedAnswer = {
  readonly context: WantedContext | undefined
  readonly state: boolean
  readonly groupBy: readonly ('room_id' | 'sender')[]
}

/** Spec: Client-Server API, `POST /_matrix/client/v3/search`, `room_events` of the answer. */
export async function searchAnswer(
  ctx: Engine,
  reader: Reader,
  search: MessageSearch,
  wanted: WantedAnswer,
): Promise<JsonObject> {
  const { events, views, words, total, next } = await searchMessages(ctx, reader, search)
  const stored = events.map((found) => found.stored)
  const [texts, contexts, state] = await Promise.all([
    describeEvents(ctx, reader, stored, { views, roomIds: true }),
    wanted.context && contextsOf(ctx, reader, stored, views, wanted.context),
    wanted.state ? statesOf(ctx, reader, stored, views) : undefined,
  ])
  const searched = stored.map(({ event }) => Object.values(event.pdu.content).filter((one) => typeof one === 'string'))
  const written = writtenWords(searched.flat().join(' '), new Set(words))
  const groups = wanted.groupBy.map((key) => [key, groupsBy(key, events, next !== undefined)])
  return {
    count: total,
    highlights: [...new Set([...words, ...written.map((word) => word.toLowerCase())])],
    results: events.map(({ hit, stored: { nid } }, index) => ({
      rank: hit.rank,
      result: JSON.parse(texts[index]!) as JsonObject,
      ...(contexts && { context: contexts.get(nid)! }),
    })),
    ...(state && { state }),
    ...(groups.length > 0 && { groups: Object.fromEntries(groups) as JsonObject }),
    ...(next !== undefined && { next_batch: next }),
  }
}

/** In the order in which they come first among the results. */
function groupsBy(key: 'room_id' | 'sender', events: readonly FoundEvent[], hasMore: boolean): JsonObject {
  const nameOf = ({ stored: { event } }: FoundEvent) => (key === 'room_id' ? event.roomId : event.pdu.sender)
  const groups = [...Map.groupBy(events, nameOf)].map(([name, found], order) => {
    const { hit, stored } = found.at(-1)!
    const number = key === 'room_id' ? stored.room : stored.senderNid
    const results = found.map((one) => one.stored.event.eventId)
    return [
      name,
      {
        order,
        results,
        ...(hasMore && { next_batch: formatSearchToken({ ...placeOf(hit), group: { key, number } }) }),
      },
    ] as const
  })
  return Object.fromEntries(groups)
}

/**
 * The state of the rooms that results are in, as of now or of the user's leaving; of the members only those who sent a
 * result, since nothing here may cost more as a room grows.
 */
async function statesOf(
  ctx: Engine,
  reader: Reader,
  results: readonly StoredEvent[],
  views: ReadonlyMap<number, ViewerHistory>,
): Promise<JsonObject> {
  const rooms = [...new Map(results.map(({ room, event }) => [room, event.roomId]))].flatMap(([room, roomId]) => {
    const position = lastPosition(views.get(room)!)
    return position === undefined ? [] : [{ room, roomId, position }]
  })
  const senders = new Set(results.map(({ event }) => event.pdu.sender))
  const kinds = await ctx.dictionaries.findKinds([...senders].map((stateKey) => ({ type: 'm.room.member', stateKey })))
  const [settings, members] = await Promise.all([
    ctx.events.statesAt(rooms, { members: false }),
    ctx.events.entriesAt(
      rooms.flatMap(({ room, position }) => [...kinds.values()].map((kind) => ({ room, kind, position }))),
    ),
  ])
  const all = [...settings, ...members]
  const texts = await describeState(ctx, reader, all)
  const state: { [room: RoomId]: JsonObject[] } = Object.fromEntries(rooms.map(({ roomId }) => [roomId, []]))
  for (const [index, { event }] of all.entries()) state[event.roomId]!.push(JSON.parse(texts[index]!) as JsonObject)
  return state
}

/** Up to where a user may see the state of a room. */
function lastPosition({ memberships }: ViewerHistory): number | undefined {
  const lastJoin = memberships.findLast(({ value }) => value === 'join')
  return lastJoin && (lastJoin.to ?? Number.MAX_SAFE_INTEGER)
}
