import type { Context } from '../../context.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { remoteMembershipsIn } from '../../rooms/remote-memberships.ts'
import type { Session, UserRoom } from '../sessions.ts'
import { isElsewhere } from '../stripped-state.ts'
import type { ListFilters } from './request.ts'
import type { RoomList } from './room-list.ts'
import { type RoomTraits, type TraitsOfRooms, traitsIn } from './room-traits.ts'
import { directRooms, tagsOfRooms } from './user-traits.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'stream'>

type Filtered = { readonly of: readonly UserRoom[]; readonly version: string; readonly rooms: readonly UserRoom[] }

/** What filters last let through, by filter: of use as long as nothing that they look at has changed. */
const filtered = new WeakMap<Session, Map<string, Filtered>>()
const filtersPerSession = 50

/**
 * The rooms that a list's filters let through, in their order. Decided in memory; what is not there is read once for all
 * rooms together.
 *
 * Spec: MSC4186, "SlidingRoomFilter"; `room_name_like` is from MSC3575.
 */
export async function filterRooms(
  ctx: Engine,
  traits: TraitsOfRooms,
  session: Session,
  list: RoomList,
  rooms: readonly UserRoom[],
  filters: ListFilters,
): Promise<readonly UserRoom[]> {
  const key = JSON.stringify(filters)
  let known = filtered.get(session)
  if (!known) filtered.set(session, (known = new Map()))
  const version = `${traits.version} ${session.accountData.at(-1)?.position} ${session.completeAfter}`
  const last = known.get(key)
  if (last?.of === rooms && last.version === version) return last.rooms
  // Where rooms only went to the front, only they are looked at again.
  const { change } = list
  const isMove = change?.to === rooms && last?.of === change.from && last.version === version
  const looked = isMove ? change.front : rooms
  const tests = await testsOf(ctx, traits, session, list, looked, filters)
  let passing = tests.length === 0 ? looked : looked.filter((room) => tests.every((test) => test(room)))
  if (isMove) passing = [...passing, ...last.rooms.filter(({ room }) => !change.moved.has(room))]
  if (known.size >= filtersPerSession) known.clear()
  known.set(key, { of: rooms, version, rooms: passing })
  return passing
}

type Test = (room: UserRoom) => boolean

async function testsOf(
  ctx: Engine,
  traits: TraitsOfRooms,
  session: Session,
  list: RoomList,
  rooms: readonly UserRoom[],
  filters: ListFilters,
): Promise<Test[]> {
  const tests: Test[] = []
  const { is_dm, is_invited, is_encrypted, tags, not_tags, spaces, room_types, not_room_types, room_name_like } =
    filters
  if (is_invited !== undefined && is_invited !== null) {
    tests.push(({ membership }) => (membership === 'invite') === is_invited)
  }
  if (is_dm !== undefined && is_dm !== null) {
    const direct = await directRooms(ctx, session)
    tests.push(({ roomId }) => direct.has(roomId) === is_dm)
  }
  if (tags || not_tags) {
    const tagged = await tagsOfRooms(ctx, session)
    const has = (room: number, wanted: readonly string[]): boolean => wanted.some((tag) => tagged.get(room)?.has(tag))
    if (not_tags) tests.push(({ room }) => !has(room, not_tags))
    if (tags) tests.push(({ room }) => has(room, tags))
  }
  if (spaces) {
    const joined = spaces.flatMap((roomId) => {
      const space = parseRoomId(roomId) && list.room(roomId as UserRoom['roomId'])
      return space && space.membership === 'join' ? [space.room] : []
    })
    const children = await traits.children(joined)
    tests.push(({ roomId }) => children.has(roomId))
  }
  if ((is_encrypted ?? room_types ?? not_room_types ?? room_name_like ?? undefined) !== undefined) {
    const traitsOf = await loadTraits(ctx, traits, session, rooms)
    if (typeof is_encrypted === 'boolean') tests.push((room) => traitsOf(room).isEncrypted === is_encrypted)
    if (not_room_types) tests.push((room) => !not_room_types.includes(traitsOf(room).roomType))
    if (room_types) tests.push((room) => room_types.includes(traitsOf(room).roomType))
    if (typeof room_name_like === 'string') tests.push(nameTest(traitsOf, room_name_like))
  }
  return tests
}

type TraitsOf = (room: UserRoom) => RoomTraits

/** What is known of a room that this deployment is not in is what the user was shown of it. */
const elsewhere = new WeakMap<Session, Map<number, { readonly since: number; readonly traits: RoomTraits }>>()

async function loadTraits(
  ctx: Engine,
  traits: TraitsOfRooms,
  session: Session,
  rooms: readonly UserRoom[],
): Promise<TraitsOf> {
  const shown = elsewhere.get(session) ?? new Map<number, { readonly since: number; readonly traits: RoomTraits }>()
  elsewhere.set(session, shown)
  const apart = rooms.filter((userRoom) => isElsewhere(userRoom))
  const missing = apart.filter(({ room, since }) => shown.get(room)?.since !== since)
  const nids = missing.map(({ room }) => room)
  const [told] = await Promise.all([
    remoteMembershipsIn(ctx, session.userId, nids),
    traits.load(rooms.flatMap((userRoom) => (isElsewhere(userRoom) ? [] : [userRoom.room]))),
  ])
  for (const { room, since } of missing) shown.set(room, { since, traits: traitsIn(told.get(room)?.stripped ?? []) })
  return (userRoom) => (isElsewhere(userRoom) && shown.get(userRoom.room)?.traits) || traits.of(userRoom.room)
}

/** The name of a room that the user left may have changed since. */
function nameTest(traitsOf: TraitsOf, like: string): Test {
  const wanted = like.toLowerCase()
  return (userRoom) => {
    const isOut = userRoom.membership === 'leave' || userRoom.membership === 'ban'
    return !isOut && (traitsOf(userRoom).name?.toLowerCase().includes(wanted) ?? false)
  }
}
