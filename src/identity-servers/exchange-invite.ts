import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { changeMembership, type MembershipEngine } from '../rooms/membership.ts'

/** What an identity server has signed: that a user proved the address which a token invites. */
export type ProvedInvite = {
  readonly sender: UserId
  readonly target: UserId
  /** With everything that was signed. */
  readonly signed: JsonObject & { readonly mxid: UserId; readonly token: string; readonly signatures: JsonObject }
}

/**
 * Turns an invite by address, which a user of ours has made, into one of the user who has proved the address. Whether the
 * proof holds is for the authorisation rules, with the keys in the room; nothing is asked of anybody.
 *
 * Spec: Server-Server API, "Third-party invites" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN, also when there is no such invite.
 */
export async function exchangeInvite(
  ctx: MembershipEngine & Pick<Context, 'hotRooms' | 'domains'>,
  roomId: RoomId,
  { sender, target, signed }: ProvedInvite,
): Promise<void> {
  const refused = () => new MatrixError('M_FORBIDDEN', 'There is no such invite')
  if (!ctx.domains.isLocal(serverNameOf(sender)) || signed.mxid !== target) throw refused()
  ctx.blockedRooms.refuse(roomId)
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw refused()
  await ctx.hotRooms.load(room, [
    ['m.room.third_party_invite', signed.token],
    ['m.room.member', target],
  ])
  const invite = room.get('m.room.third_party_invite', signed.token)
  if (invite?.pdu.sender !== sender) throw refused()
  // The rules would let it take the place of a join.
  const membership = room.get('m.room.member', target)?.pdu.content.membership
  if (membership === 'join' || membership === 'invite') return
  const { display_name: name } = invite.pdu.content
  const displayName = typeof name === 'string' ? name : ''
  await changeMembership(ctx, roomId, {
    sender,
    target,
    membership: 'invite',
    content: { third_party_invite: { display_name: displayName, signed } },
  })
}

/** Reads what somebody says an identity server has signed; undefined for what it cannot be. */
export function signedInvite(json: unknown): ProvedInvite['signed'] | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  const { mxid, token, signatures } = json as JsonObject
  if (typeof mxid !== 'string' || typeof token !== 'string' || token === '' || token.length > 255) return undefined
  if (token.includes('\0') || typeof signatures !== 'object' || signatures === null || Array.isArray(signatures)) {
    return undefined
  }
  return json as ProvedInvite['signed']
}
