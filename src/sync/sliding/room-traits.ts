import type { Context } from '../../context.ts'
import type { RoomId } from '../../matrix/ids.ts'
import type { Json, JsonObject } from '../../matrix/json.ts'
import { upTo } from '../../storage/caches.ts'
import { kindKey } from '../../storage/dictionaries.ts'
import { childrenOfSpaces, traitsOfRooms } from '../../storage/sliding-sync.ts'

/** What lists of rooms are filtered by. */
export type RoomTraits = {
  readonly roomType: string | null
  readonly isEncrypted: boolean
  readonly name: string | undefined
}

/** The traits of rooms that somebody filters by: one for all users, following the stream. */
export type TraitsOfRooms = {
  /** Makes rooms known: one statement for those that are not. */
  load(rooms: readonly number[]): Promise<void>
  of(room: number): RoomTraits
  /** Rises with every change of what is in memory. */
  readonly version: number
  /** The rooms that each space names as its own: one statement for those that are not in memory. */
  children(spaces: readonly number[]): Promise<ReadonlySet<RoomId>>
}

const mostRooms = 200_000
const mostChildren = 200_000

const keys = [
  { type: 'm.room.create', stateKey: '' },
  { type: 'm.room.encryption', stateKey: '' },
  { type: 'm.room.name', stateKey: '' },
]
const unknown: RoomTraits = { roomType: null, isEncrypted: false, name: undefined }

export function createTraitsOfRooms(
  ctx: Pick<Context, 'database' | 'caches' | 'dictionaries' | 'stream'>,
): TraitsOfRooms {
  const traits = ctx.caches.lru<number, RoomTraits>('traits of rooms', upTo(mostRooms))
  const spaces = ctx.caches.lru<number, ReadonlySet<RoomId>>('children of spaces', {
    maxSize: mostChildren,
    sizeCalculation: (children) => children.size + 1,
  })
  /** Rooms that changed while something was being read: what was read of them may be out of date. */
  const readings = new Set<Set<number>>()
  let version = 0

  /** What was said of it by events that are no part of it is not told one by one. */
  const forget = (room: number): void => {
    traits.delete(room)
    spaces.delete(room)
    version++
    for (const reading of readings) reading.add(room)
  }
  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind === 'roomCompleted' && fact.isCorrected) forget(fact.room)
      if (fact.kind !== 'event') continue
      const { room } = fact.stored
      for (const { type, stateKey, to } of fact.changes) {
        if (type === 'm.space.child') spaces.delete(room)
        else if (stateKey !== '' || !keys.some((key) => key.type === type)) continue
        else {
          const known = traits.peek(room)
          if (known) traits.set(room, withEntry(known, type, to?.event.pdu.content))
        }
        version++
        for (const reading of readings) reading.add(room)
      }
    }
  })

  const reading = async <Row>(read: () => Promise<Row>): Promise<{ rows: Row; changed: ReadonlySet<number> }> => {
    const changed = new Set<number>()
    readings.add(changed)
    try {
      return { rows: await read(), changed }
    } finally {
      readings.delete(changed)
    }
  }

  return {
    async load(rooms) {
      const missing = rooms.filter((room) => !traits.has(room))
      if (missing.length === 0) return
      const kinds = await ctx.dictionaries.findKinds(keys)
      const typeOf = new Map(keys.map((key) => [kinds.get(kindKey(key.type, key.stateKey)), key.type]))
      const { rows, changed } = await reading(() => ctx.database.read(traitsOfRooms, [missing, [...kinds.values()]]))
      const found = new Map(missing.map((room) => [room, unknown]))
      for (const { room, kind, content } of rows) {
        found.set(room, withEntry(found.get(room)!, typeOf.get(kind)!, JSON.parse(content) as JsonObject))
      }
      for (const [room, one] of found) if (!changed.has(room)) traits.set(room, one)
    },
    of: (room) => traits.get(room) ?? unknown,
    get version() {
      return version
    },
    async children(wanted) {
      const children = new Set<RoomId>()
      const missing: number[] = []
      for (const space of wanted) {
        const known = spaces.get(space)
        if (!known) missing.push(space)
        for (const child of known ?? []) children.add(child)
      }
      if (missing.length === 0) return children
      const { rows, changed } = await reading(() => ctx.database.read(childrenOfSpaces, [missing]))
      const found = new Map(missing.map((space) => [space, new Set<RoomId>()]))
      for (const { room, child, content } of rows) {
        // Spec: Client-Server API, "m.space.child": without `via` the room is no child any more.
        if (!Array.isArray((JSON.parse(content) as JsonObject).via)) continue
        found.get(room)!.add(child as RoomId)
        children.add(child as RoomId)
      }
      for (const [space, one] of found) if (!changed.has(space)) spaces.set(space, one)
      return children
    },
  }
}

function withEntry(traits: RoomTraits, type: string, content: JsonObject | undefined): RoomTraits {
  const text = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)
  if (type === 'm.room.create') return { ...traits, roomType: text(content?.type) ?? null }
  if (type === 'm.room.encryption') return { ...traits, isEncrypted: text(content?.algorithm) !== undefined }
  return { ...traits, name: text(content?.name) }
}

/** The traits that stripped state tells. */
export function traitsIn(stripped: readonly JsonObject[]): RoomTraits {
  let traits = unknown
  for (const { type, state_key, content } of stripped) {
    if (state_key !== '' || typeof content !== 'object' || content === null || Array.isArray(content)) continue
    const key = keys.find((one) => one.type === type)
    if (key) traits = withEntry(traits, key.type, content as JsonObject)
  }
  return traits
}
