import { MatrixError } from '../../src/matrix/errors.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { PublicRoomsQuery } from '../../src/rooms/public-rooms.ts'
import type { Federation } from '../federation.ts'
import { RemoteRefusal } from './client.ts'
import { publishedRoomIn } from './told-room.ts'

/** Milliseconds: somebody waits for it. */
const timeout = 15_000
/** Rooms that are passed on of one answer, and characters of a token. */
const mostRooms = 500
const mostToken = 1024

/**
 * A page of another server's directory, of which only what the specification names and clients rely on is passed on.
 *
 * Spec: Server-Server API, "Public Room Directory" (v1.19).
 *
 * @throws MatrixError as `RemoteServers.publicRooms`.
 */
export async function askForPublicRooms(
  { client }: Federation,
  server: ServerName,
  origin: ServerName,
  query: PublicRoomsQuery,
): Promise<JsonObject> {
  const { limit, since, searchTerm, roomTypes, networks } = query
  const isFiltered = searchTerm !== undefined || roomTypes !== undefined
  const asked: JsonObject = {
    ...(limit !== undefined && { limit }),
    ...(since !== undefined && { since }),
    ...(networks === 'all' && { include_all_networks: true }),
    ...(typeof networks === 'object' && { third_party_instance_id: networks.instanceId }),
  }
  const uri = '/_matrix/federation/v1/publicRooms'
  const parameters = new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)]))
  const filter: JsonObject = {
    ...(searchTerm !== undefined && { generic_search_term: searchTerm }),
    ...(roomTypes !== undefined && { room_types: [...roomTypes] }),
  }
  try {
    const answer = isFiltered
      ? await client.send(server, { method: 'POST', uri, body: { ...asked, filter }, origin, timeout })
      : await client.send(server, { method: 'GET', uri: withQuery(uri, parameters), origin, timeout })
    return pageIn(answer)
  } catch (error) {
    if (error instanceof MatrixError) throw error
    if (!(error instanceof RemoteRefusal)) throw unreachable()
    if (error.status === 403) throw new MatrixError('M_FORBIDDEN', 'That server does not show its directory')
    if (error.body.errcode === 'M_INVALID_PARAM') throw new MatrixError('M_INVALID_PARAM', 'since: not a token of it')
    throw unreachable()
  }
}

function unreachable(): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', 'The directory of that server cannot be had now')
}

function withQuery(uri: string, parameters: URLSearchParams): string {
  return parameters.size === 0 ? uri : `${uri}?${parameters}`
}

function pageIn(answer: JsonObject): JsonObject {
  const { chunk, total_room_count_estimate: total } = answer
  if (!Array.isArray(chunk)) throw unreachable()
  const tokens = Object.entries({ next_batch: answer.next_batch, prev_batch: answer.prev_batch })
  return {
    chunk: chunk.slice(0, mostRooms).flatMap((entry: Json) => publishedRoomIn(entry) ?? []),
    ...Object.fromEntries(tokens.filter(([, token]) => typeof token === 'string' && token.length <= mostToken)),
    ...(typeof total === 'number' && { total_room_count_estimate: total }),
  } as JsonObject
}
