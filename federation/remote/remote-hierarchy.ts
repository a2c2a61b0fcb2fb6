import { LRUCache } from 'lru-cache'
import { parseUserId, type RoomId, type ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { RemoteServers, ToldRoom, ToldSpace } from '../../src/rooms/ports.ts'
import { type ChildEvent, validChildren } from '../../src/rooms/space-children.ts'
import type { Federation } from '../federation.ts'
import { RemoteRefusal } from './client.ts'
import { roomIdsIn, summaryIn } from './told-room.ts'

/** Milliseconds for one answer: somebody waits for it. */
const timeout = 10_000
const maxBytes = 4 * 1024 * 1024
/** Rooms beside the one asked for, and events of it, that are read of one answer. */
const mostRooms = 1000
/** Servers asked about one room. */
const mostServers = 3
/** Milliseconds that an answer is remembered, and that a server is asked nothing which cannot be reached. */
const answerLife = 5 * 60_000
const failureLife = 60_000
/** Of all answers together, by the bytes of their JSON. */
const mostRemembered = 32 * 1024 * 1024

const mostUnreachable = 1000

type Remembered = { readonly told: ToldSpace | undefined; readonly size: number }

/**
 * Asks other servers what is in a space. What one server said is remembered by its name, so that nobody who names a server
 * of their own decides what others see.
 *
 * Spec: Server-Server API, `GET /_matrix/federation/v1/hierarchy/{roomId}` (v1.19).
 */
export function createRemoteHierarchy(federation: Federation): RemoteServers['hierarchy'] {
  const { ctx, client, allowList } = federation
  const perf = { now: () => ctx.clock.monotonic() }
  const remembered = ctx.caches.lru<string, Remembered>('spaces of other servers', {
    sizeIsBytes: true,
    maxSize: mostRemembered,
    sizeCalculation: ({ size }) => size,
    perf,
  })
  const unreachable = new LRUCache<ServerName, true>({ max: mostUnreachable, ttl: failureLife, perf })
  const underWay = new Map<string, Promise<ToldSpace | undefined>>()

  const ask = async (key: string, server: ServerName, asker: ServerName, roomId: RoomId, suggestedOnly: boolean) => {
    const path = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}`
    const uri = `${path}?suggested_only=${suggestedOnly}`
    try {
      const answer = await client.send(server, { method: 'GET', uri, origin: asker, timeout, maxBytes })
      const told = spaceIn(answer, roomId, suggestedOnly)
      remembered.set(key, { told, size: JSON.stringify(answer).length }, { ttl: answerLife })
      return told
    } catch (error) {
      ctx.log.debug({ server, roomId, error: (error as Error).message }, 'A server did not tell of a space')
      // Who is refused may be let in the next moment.
      if (!(error instanceof RemoteRefusal)) unreachable.set(server, true)
      return undefined
    }
  }

  return async (roomId, via, asker, suggestedOnly) => {
    const others = [...new Set(via)].filter(
      (server) => !ctx.domains.isLocal(server) && allowList.allows(server, 'hierarchy'),
    )
    for (const server of others.slice(0, mostServers)) {
      const key = `${asker} ${server} ${roomId} ${suggestedOnly}`
      const known = remembered.get(key)
      let asked = known ? known.told : underWay.get(key)
      if (!known && !asked) {
        if (unreachable.has(server)) continue
        asked = ask(key, server, asker, roomId, suggestedOnly).finally(() => underWay.delete(key))
        underWay.set(key, asked as Promise<ToldSpace | undefined>)
      }
      const told = await asked
      if (told) return told
    }
    return undefined
  }
}

/** Undefined for what is no answer about the room. */
function spaceIn(answer: JsonObject, roomId: RoomId, suggestedOnly: boolean): ToldSpace | undefined {
  const room = summaryIn(answer.room)
  if (room?.room_id !== roomId) return undefined
  const { children_state: events } = answer.room as JsonObject
  const isSpace = room.room_type === 'm.space' && Array.isArray(events)
  const childEvents = isSpace ? events.slice(0, mostRooms).flatMap((event: Json) => childEventIn(event) ?? []) : []
  const listed = Array.isArray(answer.children) ? answer.children.slice(0, mostRooms) : []
  const rooms: ToldRoom[] = listed.flatMap((one: Json) => summaryIn(one) ?? [])
  return {
    room,
    children: validChildren(childEvents, suggestedOnly),
    rooms: new Map(rooms.map((one) => [one.room_id, one])),
    inaccessible: new Set(roomIdsIn(answer.inaccessible_children, mostRooms)),
  }
}

function childEventIn(told: Json): ChildEvent | undefined {
  if (typeof told !== 'object' || told === null || Array.isArray(told)) return undefined
  const { type, state_key: stateKey, sender, content, origin_server_ts: originServerTs } = told as JsonObject
  const userId = typeof sender === 'string' ? parseUserId(sender) : undefined
  if (type !== 'm.space.child' || typeof stateKey !== 'string' || userId === undefined) return undefined
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return undefined
  if (!Number.isSafeInteger(originServerTs)) return undefined
  return { stateKey, sender: userId, content: content as JsonObject, originServerTs: originServerTs as number }
}
