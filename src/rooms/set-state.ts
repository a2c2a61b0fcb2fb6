import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type EventId, parseRoomAlias, parseUserId, type RoomId, serverNameOf } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { EventDraft } from './append-event.ts'
import { changeMembership, type MembershipEngine } from './membership.ts'
import { resolveRoom } from './resolve-room.ts'
import { sendEvent } from './send-event.ts'

/**
 * Sets a key of a room's state.
 *
 * @throws MatrixError M_BAD_ALIAS, M_INVALID_PARAM for a canonical alias that does not lead to the room; M_BAD_JSON;
 * M_FORBIDDEN.
 */
export async function setState(
  ctx: MembershipEngine & Pick<Context, 'database' | 'domains' | 'remoteServers'>,
  roomId: RoomId,
  draft: EventDraft & { readonly stateKey: string },
): Promise<EventId> {
  if (draft.type === 'm.room.canonical_alias' && draft.stateKey === '') await checkAliases(ctx, roomId, draft.content)
  if (draft.type === 'm.room.create') throw new MatrixError('M_BAD_JSON', 'A room is created once')
  // A join by state event is a join like any other: it may need somebody to vouch for it.
  if (draft.type === 'm.room.member' && draft.content.membership === 'join' && draft.stateKey === draft.sender) {
    return changeMembership(ctx, roomId, {
      sender: draft.sender,
      target: draft.sender,
      membership: 'join',
      content: draft.content,
      ...(draft.isOfGuest && { isOfGuest: true }),
    })
  }
  // And the invited user's server has to hear of an invite.
  if (draft.type === 'm.room.member' && draft.content.membership === 'invite') {
    const target = parseUserId(draft.stateKey)
    if (target) {
      const { sender, content } = draft
      return changeMembership(ctx, roomId, { sender, target, membership: 'invite', content })
    }
  }
  return sendEvent(ctx, roomId, draft)
}

/** Spec: Client-Server API, `PUT …/state/{eventType}/{stateKey}`: what a server checks of `m.room.canonical_alias`. */
async function checkAliases(
  ctx: MembershipEngine & Pick<Context, 'database' | 'domains' | 'remoteServers'>,
  roomId: RoomId,
  content: JsonObject,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  const before = new Set(aliasesIn(room?.get('m.room.canonical_alias', '')?.pdu.content ?? {}))
  for (const text of aliasesIn(content)) {
    if (before.has(text)) continue
    const alias = typeof text === 'string' ? parseRoomAlias(text) : undefined
    if (!alias) throw new MatrixError('M_INVALID_PARAM', 'Not a room alias')
    if (!ctx.domains.isLocal(serverNameOf(alias))) continue
    const resolved = await resolveRoom(ctx, alias).catch((error: unknown) => {
      if (error instanceof MatrixError) return undefined
      throw error
    })
    if (resolved?.roomId !== roomId) throw new MatrixError('M_BAD_ALIAS', `${alias} does not lead to this room`)
  }
}

const mostAliases = 100

function aliasesIn(content: JsonObject): Json[] {
  const { alias, alt_aliases: alternatives } = content
  const others = Array.isArray(alternatives) ? (alternatives as readonly Json[]) : []
  if (others.length > mostAliases) throw new MatrixError('M_INVALID_PARAM', 'Too many aliases')
  return [...(alias === undefined || alias === null || alias === '' ? [] : [alias]), ...others]
}
