import { createHash } from 'node:crypto'
import type { Context } from '../context.ts'
import { parseMailAddress } from '../mail/addresses.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseUserId, type RoomId, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import type { HotRoom } from '../rooms/hot-room.ts'
import { inviteUser } from '../rooms/invite-user.ts'
import type { MembershipEngine } from '../rooms/membership.ts'
import { isJoined } from '../rooms/room-access.ts'
import { setState } from '../rooms/set-state.ts'
import type { IdentityAnswer, IdentityServer } from './identity-servers.ts'

type Engine = MembershipEngine & Pick<Context, 'identityServers'> & Parameters<typeof setState>[0]

/** Whom a client wants to invite, and who knows them. */
export type AddressInvite = {
  readonly sender: UserId
  readonly medium: string
  readonly address: string
  readonly idServer: string
  readonly idAccessToken: string
}

const mostKeys = 10

/**
 * Invites who reads the mail of an address: the user whom the identity server knows it of, or whoever proves to it later that
 * the address is theirs.
 *
 * Spec: Client-Server API, "Third-party invites"; Server-Server API, "Third-party invites" (v1.19).
 *
 * @throws MatrixError M_SERVER_NOT_TRUSTED, M_THREEPID_MEDIUM_NOT_SUPPORTED, M_FORBIDDEN, M_CONNECTION_FAILED
 */
export async function inviteByAddress(ctx: Engine, roomId: RoomId, invite: AddressInvite): Promise<void> {
  const { address, authorization, server } = checkAddressInvite(ctx, invite)
  ctx.blockedRooms.refuse(roomId)
  const room = await ctx.hotRooms.get(roomId)
  // Before anything is told to anybody.
  if (!room || !(await mayInvite(ctx, room, invite.sender))) {
    throw new MatrixError('M_FORBIDDEN', 'You may not invite to this room')
  }
  const target = await lookUp(ctx, server, authorization, address)
  if (target !== undefined) {
    await inviteUser(ctx, roomId, { sender: invite.sender, target })
    return
  }
  const stored = await storeInvite(ctx, server, authorization, room, { sender: invite.sender, address })
  await setState(ctx, roomId, {
    type: 'm.room.third_party_invite',
    sender: invite.sender,
    stateKey: stored.token,
    content: stored.content,
  })
}

/** Everything about an invite that can be wrong without asking anybody. */
export function checkAddressInvite(
  ctx: Pick<Context, 'identityServers'>,
  invite: AddressInvite,
): { address: string; authorization: string; server: IdentityServer } {
  const server = ctx.identityServers.get(invite.idServer)
  if (invite.medium !== 'email') {
    throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'Only mail addresses can be invited')
  }
  const address = parseMailAddress(invite.address)
  if (address === undefined) throw new MatrixError('M_INVALID_PARAM', 'This is not a mail address')
  return { address, authorization: `Bearer ${invite.idAccessToken}`, server }
}

async function mayInvite(ctx: Engine, room: HotRoom, sender: UserId): Promise<boolean> {
  const create = room.get('m.room.create', '')
  if (!create || !(await isJoined(ctx, room, sender))) return false
  const levels = powerLevelsOf(room.get('m.room.power_levels', '')?.pdu.content, create, room.rules)
  return levels.userLevel(sender) >= levels.invite
}

/** Spec: Identity Service API, "Association lookup" (v1.19). */
async function lookUp(
  ctx: Engine,
  server: IdentityServer,
  authorization: string,
  address: string,
): Promise<UserId | undefined> {
  const details = await ctx.identityServers.ask(server, { method: 'GET', path: '/hash_details', authorization })
  const { lookup_pepper: pepper, algorithms } = answered(details)
  if (typeof pepper !== 'string' || !Array.isArray(algorithms) || !algorithms.includes('sha256')) throw useless()
  const hashed = createHash('sha256').update(`${address} email ${pepper}`).digest('base64url')
  const body = { addresses: [hashed], algorithm: 'sha256', pepper }
  const found = await ctx.identityServers.ask(server, { method: 'POST', path: '/lookup', body, authorization })
  const userId = objectOf(answered(found).mappings)[hashed]
  return typeof userId === 'string' ? parseUserId(userId) : undefined
}

/** Spec: Identity Service API, "Invitation storage" (v1.19). */
async function storeInvite(
  ctx: Engine,
  server: IdentityServer,
  authorization: string,
  room: HotRoom,
  { sender, address }: { readonly sender: UserId; readonly address: string },
): Promise<{ token: string; content: JsonObject }> {
  await ctx.hotRooms.load(room, [['m.room.member', sender]])
  const of = (type: string, key: string, stateKey = ''): Json | undefined => room.get(type, stateKey)?.pdu.content[key]
  const texts = {
    room_alias: of('m.room.canonical_alias', 'alias'),
    room_avatar_url: of('m.room.avatar', 'url'),
    room_join_rules: of('m.room.join_rules', 'join_rule'),
    room_name: of('m.room.name', 'name'),
    room_type: of('m.room.create', 'type'),
    sender_display_name: of('m.room.member', 'displayname', sender),
    sender_avatar_url: of('m.room.member', 'avatar_url', sender),
  }
  const body: JsonObject = {
    medium: 'email',
    address,
    room_id: room.roomId,
    sender,
    ...Object.fromEntries(Object.entries(texts).filter((entry) => typeof entry[1] === 'string')),
  }
  const answer = await ctx.identityServers.ask(server, { method: 'POST', path: '/store-invite', body, authorization })
  const { token, public_keys: listed, display_name: displayName } = answered(answer)
  const keys = (Array.isArray(listed) ? listed : []).slice(0, mostKeys).flatMap((one: Json) => {
    const { public_key: key, key_validity_url: url } = objectOf(one)
    return typeof key === 'string' && typeof url === 'string' ? [{ public_key: key, key_validity_url: url }] : []
  })
  const isToken = typeof token === 'string' && /^[0-9a-zA-Z.=_-]{1,255}$/.test(token)
  if (!isToken || keys.length === 0 || typeof displayName !== 'string') throw useless()
  // The first of the keys is also where older rooms look for it. Nobody here ever opens the addresses.
  return { token, content: { display_name: displayName.slice(0, 255), ...keys[0], public_keys: keys } }
}

function answered({ status, body }: IdentityAnswer): JsonObject {
  if (status === 401 || status === 403) {
    throw new MatrixError('M_FORBIDDEN', 'The identity server does not let you ask')
  }
  if (status !== 200 || body === undefined) throw useless()
  return body
}

function useless(): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', 'The identity server gives no answer of use')
}

function objectOf(json: Json | undefined): JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {}
}
