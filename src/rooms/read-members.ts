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
  const at = wanted.at === undefined ? view.stateAt : Math.min(wanted.at, view.stateAt ?? wanted.at)
  let members = await ctx.events.members(room, at)
  // Before the creator's membership, or the join by which this server came to know the room, there is no state to tell: the
  // first one stands for it.
  if (members.length === 0 && at !== undefined) {
    const [first] = await ctx.database.read(firstMembers, [room])
    members = first?.position == null ? [] : await ctx.events.members(room, Number(first.position))
  }
  const shown = members.filter(({ event }) => {
    const { membership } = event.pdu.content
    if (wanted.membership !== undefined && membership !== wanted.membership) return false
    return wanted.notMembership === undefined || membership !== wanted.notMembership
  })
  return describeState(ctx, reader, shown)
}

const firstMembers: Statement<{ position: string | null }> = statement(
  'first members',
  'select min(from_position) as position from room_state where room = $1 and is_member',
)

const joinedMembers: Statement<{ user_id: string; content: string }> = statement(
  'joined members',
  `select us.user_id, e.content from room_users u join users us using (user_nid) join events e using (event_nid)
   where u.room = $1 and u.membership = ${membershipCodes.join}`,
)

/**
 * The joined members of a room with their names and pictures.
 *
 * @throws MatrixError M_FORBIDDEN for who is not joined.
 */
export async function readJoinedMembers(
  ctx: Engine,
  roomId: RoomId,
  reader: Reader,
): Promise<{ [userId: string]: JsonObject }> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  refuseUnlessJoined(view.membership)
  await wholeRoom(ctx, view.room)
  const joined: { [userId: string]: JsonObject } = Object.create(null)
  for (const row of await ctx.database.read(joinedMembers, [view.room.room])) {
    const { displayname, avatar_url: avatarUrl } = JSON.parse(row.content) as JsonObject
    joined[row.user_id] = {
      // Beside the specification, which leaves them out: clients know them as null from other servers.
      display_name: typeof displayname === 'string' ? displayname : null,
      avatar_url: typeof avatarUrl === 'string' ? avatarUrl : null,
    }
  }
  return joined
}
