import type { Context } from '../../context.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { accountDataOfType } from '../../storage/sliding-sync.ts'
import { oneAccountData } from '../../storage/user-data.ts'
import type { Session } from '../sessions.ts'

/** Which rooms a user's account data calls direct, and their tags: read once per session, then from the stream. */
type UserTraits = {
  direct: { at: number; rooms: ReadonlySet<string> } | undefined
  tags: { at: number; byRoom: Map<number, ReadonlySet<string>> } | undefined
}

const bySession = new WeakMap<Session, UserTraits>()

function traitsOf(session: Session): UserTraits {
  let traits = bySession.get(session)
  if (!traits) bySession.set(session, (traits = { direct: undefined, tags: undefined }))
  return traits
}

/** Ids of the rooms in `m.direct`. Spec: Client-Server API, "Direct Messaging". */
export async function directRooms(
  ctx: Pick<Context, 'database' | 'stream'>,
  session: Session,
): Promise<ReadonlySet<string>> {
  const traits = traitsOf(session)
  const known = traits.direct
  if (!known || known.at < session.completeAfter) {
    const at = ctx.stream.position
    const [row] = await ctx.database.read(oneAccountData, [session.userNid, 0, 'm.direct'])
    traits.direct = { at, rooms: roomsIn(row?.content) }
  }
  const direct = traits.direct!
  for (const { position, room, type, content } of session.accountData) {
    if (position <= direct.at || room !== 0 || type !== 'm.direct') continue
    direct.at = position
    direct.rooms = roomsIn(content)
  }
  return direct.rooms
}

function roomsIn(content: string | undefined): ReadonlySet<string> {
  const rooms = new Set<string>()
  for (const list of Object.values(parse(content))) {
    if (Array.isArray(list)) for (const room of list) if (typeof room === 'string') rooms.add(room)
  }
  return rooms
}

/** The tags of rooms. Spec: Client-Server API, "Room Tagging". */
export async function tagsOfRooms(
  ctx: Pick<Context, 'database' | 'stream'>,
  session: Session,
): Promise<ReadonlyMap<number, ReadonlySet<string>>> {
  const traits = traitsOf(session)
  const known = traits.tags
  if (!known || known.at < session.completeAfter) {
    const at = ctx.stream.position
    const rows = await ctx.database.read(accountDataOfType, [session.userNid, 'm.tag'])
    traits.tags = { at, byRoom: new Map(rows.map(({ room, content }) => [room, tagsIn(content)])) }
  }
  const tags = traits.tags!
  for (const { position, room, type, content } of session.accountData) {
    if (position <= tags.at || type !== 'm.tag') continue
    tags.byRoom.set(room, tagsIn(content))
  }
  tags.at = Math.max(tags.at, session.accountData.at(-1)?.position ?? 0)
  return tags.byRoom
}

function tagsIn(content: string): ReadonlySet<string> {
  const { tags } = parse(content)
  return new Set(typeof tags === 'object' && tags !== null ? Object.keys(tags) : [])
}

function parse(content: string | undefined): JsonObject {
  return content === undefined ? {} : (JSON.parse(content) as JsonObject)
}
