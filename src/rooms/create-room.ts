import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { roomIdOfCreate } from '../matrix/event.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { serverNameOf } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { offeredRoomVersions, offeredRules, type RoomRules } from '../matrix/room-versions.ts'
import type { Batch } from '../storage/batch.ts'
import { upTo } from '../storage/caches.ts'
import { insertRooms } from '../storage/room-state.ts'
import { nextRoom } from '../storage/rooms.ts'
import { type Appended, appendLocalEvent, type EventDraft, prepareAppend } from './append-event.ts'
import { HotRoom } from './hot-room.ts'
import type { HotRooms } from './hot-rooms.ts'
import { unitOf } from './write-room.ts'

export type Preset = 'private_chat' | 'public_chat' | 'trusted_private_chat'

type Engine = Pick<
  Context,
  | 'config'
  | 'database'
  | 'domains'
  | 'clock'
  | 'random'
  | 'dictionaries'
  | 'hotRooms'
  | 'writer'
  | 'sentTransactions'
  | 'audiences'
  | 'threadAudiences'
  | 'events'
>

/** A room to be: its version, the content of its create event, and the events that follow, in order. */
export type RoomDraft = {
  readonly creator: UserId
  readonly roomVersion: string
  readonly creation: JsonObject
  /** What follows the create event and the creator's own join. */
  readonly events: readonly EventDraft[]
  /** The creator's profile, for the join. */
  readonly profile: JsonObject
  /** More rows for the same commit, such as an alias. */
  also?(batch: Batch, room: HotRoom): void
}

/**
 * Creates a room with all its first events in one commit.
 *
 * Spec: Client-Server API, "Creation".
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION; M_FORBIDDEN or M_BAD_STATE when one of the events is not allowed.
 */
export async function createRoom(ctx: Engine, draft: RoomDraft): Promise<RoomId> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await createAt(ctx, draft, momentFor(ctx, draft.creator))
    } catch (error) {
      // Another process has created it in the same moment.
      const isTaken = (error as { code?: string }).code === uniqueViolation
      if (!isTaken || attempt === attempts) throw error
    }
  }
}

const attempts = 20
const creatorsRemembered = 1_000

/** When each user created a room last, by this process. */
const moments = new WeakMap<HotRooms, LRUCache<UserId, number>>()

/**
 * A millisecond in which the user has created no room yet: from room version 12 on two create events of one user, one
 * millisecond and one content are the same room.
 */
function momentFor({ clock, hotRooms }: Engine, creator: UserId): number {
  let ofCreators = moments.get(hotRooms)
  if (!ofCreators) moments.set(hotRooms, (ofCreators = new LRUCache(upTo(creatorsRemembered))))
  const moment = Math.max(clock.now(), (ofCreators.get(creator) ?? 0) + 1)
  ofCreators.set(creator, moment)
  return moment
}

const uniqueViolation = '23505'

async function createAt(ctx: Engine, draft: RoomDraft, originServerTs: number): Promise<RoomId> {
  const rules = offeredRules(draft.roomVersion, ctx.config.experimental)
  if (!rules) {
    throw new MatrixError(
      'M_UNSUPPORTED_ROOM_VERSION',
      `Room version ${draft.roomVersion} is not one of ${[...offeredRoomVersions(ctx.config.experimental).keys()].join(', ')}`,
    )
  }
  const create = createDraft(draft, rules, originServerTs)
  const join: EventDraft = {
    type: 'm.room.member',
    sender: draft.creator,
    stateKey: draft.creator,
    content: { ...draft.profile, membership: 'join' },
  }
  const nid = (await ctx.database.read(nextRoom, []))[0]!.room
  const room = newRoom(ctx, nid, rules, draft.creator)
  // A new room knows everything about itself, so preparing loads nothing but numbers.
  await prepareAppend(ctx, room, [create, join, ...draft.events])
  const first = appendLocalEvent(ctx, room, create)
  const named = rules.createEventIsRoomId ? renamed(room, first) : { room, first }
  const appended = [named.first]
  for (const event of [join, ...draft.events]) appended.push(appendFirstEvent(ctx, named.room, event))
  named.room.version = 1
  const unit = unitOf(ctx, named.room, undefined, appended, {
    also(batch) {
      batch.add(insertRooms, { room: nid, room_id: named.room.roomId, room_version: rules.version })
      draft.also?.(batch, named.room)
    },
  })
  await ctx.writer.write(unit)
  return named.room.roomId
}

function createDraft(draft: RoomDraft, rules: RoomRules, originServerTs: number): EventDraft {
  const content: Record<string, JsonObject[string]> = { ...draft.creation, room_version: rules.version }
  if (rules.auth.creatorInContent) content.creator = draft.creator
  else delete content.creator
  return {
    type: 'm.room.create',
    sender: draft.creator,
    stateKey: '',
    content,
    originServerTs,
  }
}

function appendFirstEvent(ctx: Engine, room: HotRoom, event: EventDraft): Appended {
  try {
    return appendLocalEvent(ctx, room, event)
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    throw new MatrixError(error.errcode, `${event.type}: ${error.message}`, { status: error.status })
  }
}

function newRoom(ctx: Engine, nid: number, rules: RoomRules, creator: UserId): HotRoom {
  const roomId: RoomId = `!${ctx.random.token(13)}:${serverNameOf(creator) as ServerName}`
  return emptyRoom(nid, roomId, rules)
}

function emptyRoom(room: number, roomId: RoomId, rules: RoomRules): HotRoom {
  const row = {
    room,
    room_id: roomId,
    room_version: rules.version,
    version: 0,
    notify_count: 0,
    highlight_count: 0,
    joined_members: 0,
    invited_members: 0,
    depth: 0,
    partial_state: false,
  }
  return new HotRoom(row, [], rules, { complete: true })
}

/** From room version 12 on the room is named after its create event, so the event comes before the room. */
function renamed(room: HotRoom, create: Appended): { room: HotRoom; first: Appended } {
  const roomId = roomIdOfCreate(create.ref.event.eventId)
  const named = emptyRoom(room.room, roomId, room.rules)
  for (const change of create.changes) named.set(change.type, change.stateKey, change.to)
  named.extremities = room.extremities
  named.depth = room.depth
  return { room: named, first: { ...create, room: named } }
}
