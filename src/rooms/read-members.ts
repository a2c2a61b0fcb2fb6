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

/**
 * The members of a room as client events: now, or as it was at a point of the timeline or at the reader's leaving.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function readMembers(
  ctx: Engine,
  roomId: RoomId,
  reader: Reader,
  wanted: { readonly at?: number; readonly membership?: Membership; readonly notMembership?: Membership },
): Promise<string[]> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  await wholeRoom(ctx, view.room)
  const { room } = view.room
  const rowsAt = (position = Number.MAX_SAFE_INTEGER): Promise<MemberRow[]> =>
    ctx.database.read(memberTexts, [
      room,
      position,
      JSON.stringify(roomId),
      ctx.clock.now(),
      view.room.rules.eventFormat === 'v3' ? '+/' : '-_',
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
  const texts = rows.flatMap(({ text }) => text ?? [])
  const isFiltered = wanted.membership !== undefined || wanted.notMembership !== undefined
  const unusual = await ctx.events.byNids(rows.flatMap(({ event_nid: nid, text }) => (text === null ? [nid] : [])))
  return [
    ...(isFiltered ? texts.filter((text) => isWanted(membershipIn(text))) : texts),
    ...(await describeState(
      ctx,
      reader,
      unusual.filter(({ event }) => isWanted(event.pdu.content.membership)),
    )),
  ]
}

type MemberRow = { event_nid: number; text: string | null }

// A large room has tens of thousands of them: as text, as `clientEventText` makes it, they are a fraction of the work that they
// are as objects. It does the few that are unusual: redacted ones, and those with keys that are not the specification's.
const memberTexts: Statement<MemberRow> = statement(
  'members as text',
  `select e.event_nid, case when e.rest is null and e.redacted_by is null then
     '{"content":' || e.content || ',"event_id":"$' || rtrim(translate(encode(e.event_id, 'base64'), '+/', $5), '=') ||
     '","origin_server_ts":' || e.origin_server_ts || ',"sender":' || to_json(u.user_id) ||
     ',"type":"m.room.member","state_key":' || to_json(k.state_key) || ',"room_id":' || $3 ||
     ',"unsigned":{"age":' || greatest(0, $4::int8 - e.origin_server_ts) || '}}' end as text
   from room_state s join events e on e.event_nid = s.event_nid
   join event_kinds k on k.kind = s.kind join users u on u.user_nid = e.sender
   where s.room = $1 and s.is_member and s.from_position <= $2 and (s.to_position is null or s.to_position > $2)`,
)

/** The membership of a membership event that is JSON text: it has one, or it would not be in a state. */
function membershipIn(text: string): unknown {
  const key = '"membership":"'
  const start = text.indexOf(key)
  if (start < 0 || text.includes(key, start + 1)) return JSON.parse(text).content.membership
  return text.slice(start + key.length, text.indexOf('"', start + key.length))
}

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
