import type { RequiredState } from './required-state.ts'

/** What a client has been told of a room on a connection. */
export type ToldRoom = {
  /** Undefined: everything up to the position of the token. Else the position at which the room ceased to be told of. */
  readonly upTo: number | undefined
  /** The most events of its timeline that were told at once. */
  readonly timelineLimit: number
  readonly required: readonly RequiredState[]
  readonly isDirect: boolean
}

/**
 * What a client that comes with a token has been told. Never changed: an answer makes the next one, and the one before
 * serves as long as the client may come with its token again.
 */
export type ConnectionState = {
  readonly rooms: ReadonlyMap<number, ToldRoom>
  /** The extensions that have told all they know of the rooms. */
  readonly extensions: ReadonlySet<string>
}

export const newConnection: ConnectionState = { rooms: new Map(), extensions: new Set() }

/** Rooms remembered per connection; those told of longest ago are told anew. */
const mostRooms = 20_000

export function isSameRoom(one: ToldRoom, other: ToldRoom): boolean {
  return (
    one.upTo === other.upTo &&
    one.timelineLimit === other.timelineLimit &&
    one.isDirect === other.isDirect &&
    isSameState(one.required, other.required)
  )
}

export function isSameState(one: readonly RequiredState[], other: readonly RequiredState[]): boolean {
  return one === other || requiredText(one) === requiredText(other)
}

const texts = new WeakMap<readonly RequiredState[], string>()

/** JSON of a configuration, made once for each: rooms share them. */
export function requiredText(required: readonly RequiredState[]): string {
  let text = texts.get(required)
  if (text === undefined) texts.set(required, (text = JSON.stringify(required)))
  return text
}

type Encoded = {
  /** Each configuration once, and for each room: number, position or null, limit, index of its configuration, is direct. */
  readonly configs: readonly (readonly RequiredState[])[]
  readonly rooms: readonly (readonly [number, number | null, number, number, 0 | 1])[]
  readonly extensions: readonly string[]
}

export function encodeConnection(state: ConnectionState): string {
  const configs = new Map<string, number>()
  const texts: string[] = []
  const rooms: Encoded['rooms'][number][] = []
  for (const [room, { upTo, timelineLimit, required, isDirect }] of [...state.rooms].slice(-mostRooms)) {
    const text = requiredText(required)
    let index = configs.get(text)
    if (index === undefined) configs.set(text, (index = texts.push(text) - 1))
    rooms.push([room, upTo ?? null, timelineLimit, index, isDirect ? 1 : 0])
  }
  return `{"configs":[${texts.join(',')}],"rooms":${JSON.stringify(rooms)},"extensions":${JSON.stringify([...state.extensions])}}`
}

export function decodeConnection(content: string): ConnectionState {
  const { configs, rooms, extensions } = JSON.parse(content) as Encoded
  return {
    rooms: new Map(
      rooms.map(([room, upTo, timelineLimit, config, isDirect]) => [
        room,
        { upTo: upTo ?? undefined, timelineLimit, required: configs[config]!, isDirect: isDirect === 1 },
      ]),
    ),
    extensions: new Set(extensions),
  }
}
