import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { HotRoom } from './hot-room.ts'
import type { StateTuple } from './hot-rooms.ts'

/** What somebody who is invited or knocks is shown of a room. Spec: Client-Server API, "Stripped state". */
export const strippedStateKeys: readonly StateTuple[] = [
  ['m.room.create', ''],
  ['m.room.name', ''],
  ['m.room.avatar', ''],
  ['m.room.topic', ''],
  ['m.room.join_rules', ''],
  ['m.room.canonical_alias', ''],
  ['m.room.encryption', ''],
]

/** These events of a room's state, and others by their keys, whole: as other servers are to check them. */
export async function shownState(
  ctx: Pick<Context, 'hotRooms' | 'events'>,
  room: HotRoom,
  others: readonly StateTuple[] = [],
): Promise<RoomEvent[]> {
  const keys = [...strippedStateKeys, ...others]
  await Promise.all([ctx.hotRooms.load(room, keys), room.written()])
  const eventIds = keys.flatMap(([type, stateKey]) => room.get(type, stateKey)?.eventId ?? [])
  return (await ctx.events.byIds(eventIds, { edges: true })).map(({ event }) => event)
}

/**
 * An event in the form in which it is shown to somebody outside the room. Of the create event clients also learn when it was
 * made (MSC4311).
 */
export function stripped(pdu: {
  readonly type: string
  readonly sender: string
  readonly state_key?: string
  readonly content: JsonObject
  readonly origin_server_ts?: Json
}): JsonObject {
  const { type, sender, state_key: stateKey = '', content, origin_server_ts: ts } = pdu
  const isDated = type === 'm.room.create' && Number.isSafeInteger(ts)
  return { content, sender, state_key: stateKey, type, ...(isDated && { origin_server_ts: ts as number }) }
}
