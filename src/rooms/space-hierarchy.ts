import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { ToldRoom } from './ports.ts'
import { maySummarise, roomSummary } from './room-summary.ts'
import { askAbout, mayKnowOf, roomHere } from './rooms-elsewhere.ts'
import { childrenIn, type SpaceChild } from './space-children.ts'

/** Rooms in one answer. */
const maxLimit = 50
/** Spaces within one another. */
const maxDepthEver = 50
/** Rooms of a tree that are looked at, however many pages there are. */
const maxVisited = 5000
/** Milliseconds after which a page waits for no further server: what they said is remembered for the next one. */
const maxWaiting = 20_000

export type HierarchyQuery = {
  readonly suggestedOnly: boolean
  readonly maxDepth?: number | undefined
  readonly limit?: number | undefined
  readonly from?: string | undefined
}

type Engine = Pick<Context, 'clock' | 'database' | 'domains' | 'hotRooms' | 'remoteServers'>

/** A room in the tree, and what is known of it by who named it. */
type Place = {
  readonly room: RoomId
  readonly depth: number
  readonly via: readonly ServerName[]
  readonly told?: ToldRoom | undefined
  /** A server said that none of us may know of it. */
  readonly isInaccessible?: boolean
}

type Found = {
  readonly summary: JsonObject
  readonly children: readonly SpaceChild[]
  /** The place of a child in the tree. */
  placeOf(child: SpaceChild, depth: number): Place
}

/**
 * A page of the rooms below a space, depth first, as far as the user may know of them. Of rooms that none of us is in, other
 * servers tell.
 *
 * Every page walks the tree from its root and leaves out what earlier ones had: nothing is remembered in between, so any
 * process can serve any page, and what the user may see is decided anew.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` (v1.19).
 *
 * @param userId Undefined for administrators: all rooms that are here, and no other server is asked.
 * @throws MatrixError M_FORBIDDEN for a space the user may not look into, M_INVALID_PARAM for a token of other
 *   parameters.
 */
export async function spaceHierarchy(
  ctx: Engine,
  roomId: RoomId,
  userId: UserId | undefined,
  query: HierarchyQuery,
): Promise<JsonObject> {
  const limit = Math.min(Math.max(query.limit ?? maxLimit, 1), maxLimit)
  const maxDepth = Math.min(Math.max(query.maxDepth ?? maxDepthEver, 0), maxDepthEver)
  const skip = parseToken(query, maxDepth)
  const viewer = { userId, suggestedOnly: query.suggestedOnly, waitsUntil: ctx.clock.monotonic() + maxWaiting }

  const rooms: JsonObject[] = []
  const seen = new Set<RoomId>([roomId])
  const stack: Place[] = [{ room: roomId, depth: 0, via: [] }]
  let position = 0
  for (let visited = 0; stack.length > 0 && visited < maxVisited; visited++) {
    const place = stack.pop()!
    const isLate = rooms.length > 0 && ctx.clock.monotonic() > viewer.waitsUntil
    if (isLate) return { rooms, next_batch: tokenOf(query, maxDepth, position) }
    const found = await find(ctx, place, viewer)
    if (!found) {
      if (place.depth === 0) throw new MatrixError('M_FORBIDDEN', 'You may not look into this room')
      continue
    }
    if (position >= skip + limit) return { rooms, next_batch: tokenOf(query, maxDepth, position) }
    const { summary, children } = found
    if (position++ >= skip) rooms.push({ ...summary, children_state: children.map(({ event }) => event) })
    if (place.depth >= maxDepth) continue
    // The first child is to be the next one, so it goes on top.
    for (const child of children.toReversed()) {
      if (seen.has(child.child)) continue
      seen.add(child.child)
      stack.push(found.placeOf(child, place.depth + 1))
    }
  }
  return { rooms }
}

type Viewer = { readonly userId: UserId | undefined; readonly suggestedOnly: boolean; readonly waitsUntil: number }

/** Undefined for what the viewer may not know of. */
async function find(ctx: Engine, place: Place, viewer: Viewer): Promise<Found | undefined> {
  const room = await roomHere(ctx, place.room)
  const { userId } = viewer
  if (!room) return userId === undefined ? undefined : findElsewhere(ctx, place, { ...viewer, userId })
  if (userId !== undefined && !(await maySummarise(ctx, room, userId))) return undefined
  return {
    summary: roomSummary(room),
    children: await childrenIn(ctx, room, viewer.suggestedOnly),
    placeOf: ({ child, via }, depth) => ({ room: child, depth, via }),
  }
}

/** What was told beside the space is enough of a room that is no space, and better than nothing of one that is. */
async function findElsewhere(
  ctx: Engine,
  place: Place,
  viewer: Viewer & { userId: UserId },
): Promise<Found | undefined> {
  if (place.isInaccessible) return undefined
  const { told } = place
  if (told?.room_type !== 'm.space' && told && (await mayKnowOf(ctx, told, viewer.userId))) return withoutChildren(told)
  const space = await askAbout(ctx, place.room, viewer.userId, place.via, viewer.suggestedOnly)
  if (!space) return told && (await mayKnowOf(ctx, told, viewer.userId)) ? withoutChildren(told) : undefined
  return {
    summary: space.room,
    children: space.children,
    // What a server says about the children counts for its own space only: elsewhere others may name them too.
    placeOf: ({ child, via }, depth) => ({
      room: child,
      depth,
      via,
      told: space.rooms.get(child),
      isInaccessible: space.inaccessible.has(child),
    }),
  }
}

function withoutChildren(told: ToldRoom): Found {
  return { summary: told, children: [], placeOf: ({ child, via }, depth) => ({ room: child, depth, via }) }
}

function tokenOf(query: HierarchyQuery, maxDepth: number, position: number): string {
  return `${position}_${maxDepth}_${query.suggestedOnly ? 1 : 0}`
}

/** How many rooms earlier pages had. */
function parseToken(query: HierarchyQuery, maxDepth: number): number {
  if (query.from === undefined) return 0
  const position = Number(/^(\d{1,4})_/.exec(query.from)?.[1])
  if (query.from !== tokenOf(query, maxDepth, position)) {
    throw new MatrixError('M_INVALID_PARAM', 'from: not a token that was given for these parameters')
  }
  return position
}
