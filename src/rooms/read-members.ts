import { setImmediate } from 'node:timers/promises'
import type { Context } from '../context.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type Statement, statement } from '../storage/database.ts'
import { type Membership, membershipCodes } from '../storage/room-users.ts'
import type { Reader } from './describe-events.ts'
import { describeState, refuseUnlessJoined } from './read-state.ts'
import { viewRoom } from './room-access.ts'
import { wholeRoom } from './whole-room.ts'

type Engine = Parameters<typeof describeState>[0] & Pick<Context, 'database' | 'closing'>

/** Which memberships are wanted: all but for what is said. */
type Wanted = { readonly membership?: Membership; readonly notMembership?: Membership }

/**
 * The members of a room as client events, now, or as it was at a point of the timeline or at the reader's leaving: texts of one or
 * many, one after the other.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function readMembers(
  ctx: Engine,
  roomId: RoomId,
  reader: Reader,
  wanted: Wanted & { readonly at?: number },
): Promise<string[]> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  await wholeRoom(ctx, view.room)
  const { room } = view.room
  const rowsAt = (position = Number.MAX_SAFE_INTEGER): Promise<MembersRow[]> =>
    ctx.database.read(memberTexts, [
      room,
      position,
      JSON.stringify(roomId),
      ctx.clock.now(),
      view.room.rules.eventFormat === 'v3' ? '+/' : '-_',
      wanted.membership ?? null,
      wanted.notMembership ?? null,
    ])
  const at = wanted.at === undefined ? view.stateAt : Math.min(wanted.at, view.stateAt ?? wanted.at)
  let rows = await rowsAt(at)
  // Before the creator's membership, or the join by which this server came to know the room, there is no state to tell: the
  // first one stands for it.
  if (rows.length === 0 && at !== undefined) {
    const [first] = await ctx.database.read(firstMembers, [room])
    rows = first?.position == null ? [] : await rowsAt(Number(first.position))
  }
  const isWanted = (membership: unknown): boolean =>
    (wanted.membership === undefined || wanted.membership === membership) && wanted.notMembership !== membership
  const unusual = await ctx.events.byNids(rows.flatMap((row) => row.unusual ?? []))
  return [
    ...rows.flatMap(({ texts }) => texts ?? []),
    ...(await describeState(
      ctx,
      reader,
      unusual.filter(({ event }) => isWanted(event.pdu.content.membership)),
    )),
  ]
}

/** Some of the members: the texts of those that are wanted, and the events that are not told from the database alone. */
type MembersRow = { texts: string | null; unusual: number[] | null }

// A large room has tens of thousands of them: as text, as `clientEventText` makes it and with many in one value, they are a fraction
// of the work that they are as objects. It does the few that are unusual: redacted ones, those with keys that are not the
// specification's, and those whose membership is not easily seen.
const memberTexts: Statement<MembersRow> = statement(
  'members as text',
  `select string_agg(text, ',') filter (where is_usual and ($6::text is null or membership = $6)
       and ($7::text is null or membership <> $7)) as texts,
     array_agg(event_nid) filter (where not is_usual) as unusual
   from (
     select event_nid, row_number() over () as number, membership,
       rest is null and redacted_by is null and membership <> '' and after_another = '' as is_usual,
       '{"content":' || content || ',"event_id":"$' ||
         rtrim(replace(replace(encode(event_id, 'base64'), '+', left($5, 1)), '/', right($5, 1)), '=') ||
         '","origin_server_ts":' || origin_server_ts || ',"sender":' || to_json(user_id) ||
         ',"type":"m.room.member","state_key":' || to_json(state_key) || ',"room_id":' || $3 ||
         ',"unsigned":{"age":' || greatest(0, $4::int8 - origin_server_ts) || '}}' as text
     from (
       select e.*, u.user_id, k.state_key, split_part(split_part(e.content, '"membership":"', 2), '"', 1) as membership,
         split_part(e.content, '"membership":"', 3) as after_another
       from room_state s join events e on e.event_nid = s.event_nid
       join event_kinds k on k.kind = s.kind join users u on u.user_nid = e.sender
       where s.room = $1 and s.is_member and s.from_position <= $2 and (s.to_position is null or s.to_position > $2)) m) t
   group by number / 500`,
)

const firstMembers: Statement<{ position: string | null }> = statement(
  'first members',
  'select min(from_position) as position from room_state where room = $1 and is_member',
)

type JoinedMemberRow = { user_id: string; content: string }

const joinedMembers: Statement<JoinedMemberRow> = statement(
  'joined members',
  `select us.user_id, e.content from room_users u join users us using (user_nid) join events e using (event_nid)
   where u.room = $1 and u.membership = ${membershipCodes.join}`,
)

/** So many are put into words before others get their turn. */
const membersAtOnce = 1000

/**
 * The joined members of a room with their names and pictures: pieces of the JSON text of an object by user id.
 *
 * @throws MatrixError M_FORBIDDEN for who is not joined.
 */
export async function readJoinedMembers(ctx: Engine, roomId: RoomId, reader: Reader): Promise<string[]> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  refuseUnlessJoined(view.membership)
  await wholeRoom(ctx, view.room)
  const rows = await ctx.database.read(joinedMembers, [view.room.room])
  const pieces: string[] = []
  for (let start = 0; start < rows.length; start += membersAtOnce) {
    const texts = rows.slice(start, start + membersAtOnce).map(joinedMemberText)
    pieces.push(`${start === 0 ? '' : ','}${texts.join(',')}`)
    if (start + membersAtOnce < rows.length) await setImmediate()
  }
  return ['{', ...pieces, '}']
}

function joinedMemberText({ user_id: userId, content }: JoinedMemberRow): string {
  const { displayname, avatar_url: avatarUrl } = JSON.parse(content) as JsonObject
  const profile = {
    // Beside the specification, which leaves them out: clients know them as null from other servers.
    display_name: typeof displayname === 'string' ? displayname : null,
    avatar_url: typeof avatarUrl === 'string' ? avatarUrl : null,
  }
  return `${JSON.stringify(userId)}:${JSON.stringify(profile)}`
}
