import type { Context } from '../context.ts'
import { foldText } from '../matrix/fold-text.ts'
import { localpartOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { membershipCodes } from '../storage/room-users.ts'

/** Users in one answer. */
const maxLimit = 50
/** Characters of a search term that are looked at. */
const maxTerm = 100

type Row = { user_id: UserId; fields: string | null; member: string | null; is_near: boolean }

/** Users whose name begins so of whom it is looked whether the searcher shares a room with them. */
const maxNamed = 30_000
/** Users that are looked at closely: of those one shares a room with, of all by their names, and by their ids. */
const maxNear = 500
const maxFar = 500
const maxById = 200
/** Users that are ranked. */
const maxKnown = 500

/** Members of a room that are not all gone through. */
const largeRoom = 5000

const isJoined = `membership = ${membershipCodes.join}`

/** One by one, by all rooms of each: fewer than to look for every room of the searcher's, and the same in a room of any size. */
const sharesRoom = `(select true from room_users b where b.user_nid = one.user_nid and b.${isJoined}
       and (b.room + 0) = any (array(select room from mine)) limit 1) is not null`

/** Known by the text of the event, as the server that made it wrote it. */
function isPublic(room: string): string {
  return `exists (
       select from room_state s join events e using (event_nid)
       where s.room = ${room} and s.kind = any($6::int[]) and s.to_position is null
         and (e.content like '%"join_rule":"public"%' or e.content like '%"history_visibility":"world_readable"%'))`
}

/**
 * Users whose name or id begins so, of whom the searcher may know. Everything is bounded, so that a single letter costs little
 * more than a name; those with whom one shares a room come before anybody is left out. Searchers find themselves in public
 * rooms alone. Users of other servers have no profile here: what they are called in a room counts, and is shown, to who is in it too
 * or where it is public.
 */
const search = `with mine as materialized (
     select room, joined_members > ${largeRoom} as is_large from room_users join rooms using (room)
     where user_nid = $1 and ${isJoined}),
   named as materialized (
     select user_nid from profiles where searchable_name(fields) @@ to_tsquery('simple', $2) limit ${maxNamed}),
   near as materialized (
     select user_nid from named n where exists (
       select from room_users b where b.user_nid = n.user_nid and b.${isJoined}
         and b.room in (select room from mine where not is_large))
     limit ${maxNear}),
   called as materialized (
     select user_nid, room from room_users where name_words @@ to_tsquery('simple', $2) limit ${maxNamed}),
   by_id as materialized (
     select user_nid from users where user_id >= $3 and user_id < $4 order by user_id limit ${maxById}),
   candidates as (
     select user_nid, true as is_near from near
     union all
     (select user_nid, true from called where room in (select room from mine) limit ${maxNear})
     union all
     select user_nid, false from (select user_nid, room from called limit ${maxFar}) one where ${isPublic('one.room')}
     union all
     select user_nid, ${sharesRoom} from (select user_nid from named limit ${maxFar}) one
     union all
     select user_nid, ${sharesRoom} from by_id one),
   known as materialized (
     select c.user_nid, c.is_near, u.user_id, a.user_nid is not null as is_ours
     from (select user_nid, bool_or(is_near) and user_nid <> $1 as is_near from candidates group by user_nid) c
     join users u using (user_nid) left join accounts a using (user_nid)
     where a.user_nid is null or (a.deactivated_at is null and not a.is_guest)),
   visible as (
     select * from known k where k.is_near or ($5 and k.is_ours and k.user_nid <> $1) or exists (
       select from room_users b where b.user_nid = k.user_nid and b.${isJoined} and ${isPublic('b.room')})
     order by starts_with(k.user_id, $3 || ':') desc, is_near desc, user_id limit ${maxKnown})
   select v.user_id, p.fields, m.member, v.is_near
   from visible v left join profiles p using (user_nid)
   left join lateral (
     select e.content as member from room_users b join events e using (event_nid)
     where p.user_nid is null and b.user_nid = v.user_nid and b.${isJoined}
       and (b.room in (select room from mine) or ${isPublic('b.room')})
     order by (b.room in (select room from mine)) desc limit 1) m on true`

export type FoundUser = {
  readonly user_id: UserId
  readonly display_name?: string
  readonly avatar_url?: string
}

/**
 * Searches the users who share a room with the searcher or are in a public one; where the operator wants it, everybody
 * who has an account here.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/user_directory/search` (v1.19).
 */
export async function searchUsers(
  ctx: Pick<Context, 'config' | 'database' | 'dictionaries'>,
  searcher: { readonly userNid: number },
  query: { readonly term: string; readonly limit: number },
): Promise<{ results: FoundUser[]; limited: boolean }> {
  const limit = Math.min(Math.max(query.limit, 0), maxLimit)
  const term = foldText(query.term.trim().slice(0, maxTerm).toWellFormed().replaceAll('\0', ''))
  const words = wordsOf(term)
  if (words.length === 0) return { results: [], limited: false }
  const prefix = `@${term.replace(/^@/, '')}`
  const kinds = await ctx.dictionaries.findKinds([
    { type: 'm.room.join_rules', stateKey: '' },
    { type: 'm.room.history_visibility', stateKey: '' },
  ])
  const values = [
    searcher.userNid,
    words.map((word) => `'${word}':*`).join(' & '),
    prefix,
    `${prefix}\u{10ffff}`,
    ctx.config.user_directory.search_all_users,
    [...kinds.values()],
  ]
  // On a connection of its own: a search may take a tenth of a second, and short reads must not wait behind it.
  const rows = await ctx.database.transaction((query) => query<Row>(search, values))
  const found = rows.map((row) => ({ user: foundUser(row), isNear: row.is_near }))
  found.sort((a, b) => rankOf(a, prefix) - rankOf(b, prefix) || (a.user.user_id < b.user.user_id ? -1 : 1))
  return { results: found.slice(0, limit).map(({ user }) => user), limited: found.length > limit }
}

/** As the index has them; nothing is left in them that a query could be made of. */
function wordsOf(term: string): string[] {
  return term.split(/[\p{Cc}\s!-/:-@[-`{-~]+/u).filter((word) => word !== '')
}

function foundUser(row: Row): FoundUser {
  const profile = JSON.parse(row.fields ?? row.member ?? '{}') as JsonObject
  return {
    user_id: row.user_id,
    ...(typeof profile.displayname === 'string' && { display_name: profile.displayname }),
    ...(typeof profile.avatar_url === 'string' && { avatar_url: profile.avatar_url }),
  }
}

/** Who is called exactly so comes first, then whose name begins so; among equals those one shares a room with. */
function rankOf({ user, isNear }: { user: FoundUser; isNear: boolean }, prefix: string): number {
  const term = prefix.slice(1)
  const name = foldText(user.display_name ?? '')
  const id = foldText(user.user_id)
  const exact = id === prefix || foldText(localpartOf(user.user_id)) === term || name === term
  const begins = name.startsWith(term) || id.startsWith(prefix)
  return (exact ? 0 : begins ? 2 : 4) + (isNear ? 0 : 1)
}
