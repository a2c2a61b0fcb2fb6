import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseRoomAlias, parseUserId, type RoomAlias, type RoomId, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { offeredRules, type RoomRules } from '../matrix/room-versions.ts'
import { insertAliases, insertPublishedRooms } from '../storage/room-directory.ts'
import type { EventDraft } from './append-event.ts'
import { createRoom, type Preset } from './create-room.ts'
import { followReplacement } from './follow-replacement.ts'
import { changeMembership } from './membership.ts'
import { refuseWhereClosed } from './room-directory.ts'

/** What a client asks of a new room. Spec: Client-Server API, `createRoom`. */
export type RoomWish = {
  readonly visibility?: 'public' | 'private'
  readonly room_alias_name?: string
  readonly name?: string
  readonly topic?: string
  readonly invite?: readonly string[]
  readonly room_version?: string
  readonly creation_content?: JsonObject
  readonly initial_state?: readonly {
    readonly type: string
    readonly state_key?: string
    readonly content: JsonObject
  }[]
  readonly preset?: Preset
  readonly is_direct?: boolean
  readonly power_level_content_override?: JsonObject
}

const presetRules = {
  private_chat: { joinRule: 'invite', guests: 'can_join', history: 'shared' },
  trusted_private_chat: { joinRule: 'invite', guests: 'can_join', history: 'shared' },
  public_chat: { joinRule: 'public', guests: 'forbidden', history: 'shared' },
} as const

/**
 * Creates a room as a client asks for it: the events in the order that the specification gives, then the invites.
 *
 * @throws MatrixError M_ROOM_IN_USE for an alias that is taken, M_UNSUPPORTED_ROOM_VERSION, M_INVALID_PARAM, M_BAD_JSON,
 * M_FORBIDDEN where one of the wished events is not allowed.
 */
export async function createRoomAsAsked(ctx: Context, requester: Requester, wish: RoomWish): Promise<RoomId> {
  const roomVersion = wish.room_version ?? ctx.config.rooms.default_version
  const rules = offeredRules(roomVersion, ctx.config.experimental)
  if (!rules) throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${roomVersion} is not supported`)
  if (wish.visibility === 'public' && !requester.isAdmin) refuseWhereClosed(ctx)
  const invitees = inviteesOf(ctx, wish)
  const alias = aliasOf(requester, wish)
  if (alias && (await isAliasTaken(ctx, alias))) throw new MatrixError('M_ROOM_IN_USE', `${alias} is taken`)

  const isEncrypted = ctx.config.rooms.encrypt_by_default && presetOf(wish) !== 'public_chat'
  const events = initialEvents(requester.userId, wish, { rules, invitees, alias, isEncrypted })
  const profile = await ctx.profiles.of(requester.userNid)
  const roomId = await createRoom(ctx, {
    creator: requester.userId,
    roomVersion,
    creation: creationContent(wish, rules, invitees),
    profile: { ...picked(profile, 'displayname'), ...picked(profile, 'avatar_url') },
    events,
    also(batch, room) {
      if (alias) {
        batch.add(insertAliases, { alias, room: room.room, creator: requester.userNid, created: ctx.clock.now() })
      }
      if (wish.visibility === 'public') {
        batch.add(insertPublishedRooms, { server_name: requester.domain, room: room.room })
      }
    },
  })
  await followReplacement(ctx, roomId, requester.userId)
  for (const target of invitees) {
    await changeMembership(ctx, roomId, {
      sender: requester.userId,
      target,
      membership: 'invite',
      ...(wish.is_direct && { isDirect: true }),
    })
  }
  return roomId
}

function picked(profile: JsonObject, key: string): JsonObject {
  const value = profile[key]
  return value === undefined ? {} : { [key]: value }
}

function inviteesOf(ctx: Pick<Context, 'config'>, wish: RoomWish): UserId[] {
  const invite = wish.invite ?? []
  if (invite.length > ctx.config.rooms.invite_limit_per_creation) {
    throw new MatrixError('M_INVALID_PARAM', 'Too many users to invite at once')
  }
  return [...new Set(invite)].map((text) => {
    const userId = parseUserId(text)
    if (!userId) throw new MatrixError('M_INVALID_PARAM', `${text} is not a user id`)
    return userId
  })
}

function aliasOf(requester: Requester, wish: RoomWish): RoomAlias | undefined {
  if (wish.room_alias_name === undefined) return undefined
  const alias = /[\s:\0]/.test(wish.room_alias_name)
    ? undefined
    : parseRoomAlias(`#${wish.room_alias_name}:${requester.domain}`)
  if (!alias) throw new MatrixError('M_INVALID_PARAM', 'Not an alias name')
  return alias
}

async function isAliasTaken(ctx: Pick<Context, 'database'>, alias: RoomAlias): Promise<boolean> {
  const row = await ctx.database.db
    .selectFrom('room_aliases')
    .select('alias')
    .where('alias', '=', alias)
    .executeTakeFirst()
  return row !== undefined
}

/** From room version 12 on those invited to a trusted private chat become creators too. */
function creationContent(wish: RoomWish, rules: RoomRules, invitees: readonly UserId[]): JsonObject {
  const content: Record<string, JsonObject[string]> = { ...wish.creation_content }
  delete content.room_version
  if (rules.auth.privilegedCreators && wish.preset === 'trusted_private_chat' && invitees.length > 0) {
    const asked = Array.isArray(content.additional_creators) ? (content.additional_creators as string[]) : []
    content.additional_creators = [...new Set([...asked, ...invitees])]
  }
  return content
}

function presetOf(wish: RoomWish): Preset {
  return wish.preset ?? (wish.visibility === 'public' ? 'public_chat' : 'private_chat')
}

/** Spec: Client-Server API, `createRoom`: steps 3 to 8, in that order. */
function initialEvents(
  creator: UserId,
  wish: RoomWish,
  {
    rules,
    invitees,
    alias,
    isEncrypted,
  }: {
    readonly rules: RoomRules
    readonly invitees: readonly UserId[]
    readonly alias: RoomAlias | undefined
    readonly isEncrypted: boolean
  },
): EventDraft[] {
  const preset = presetOf(wish)
  const { joinRule, guests, history } = presetRules[preset]
  const events = new Map<string, EventDraft>()
  const set = (type: string, content: JsonObject, stateKey = ''): void => {
    const key = `${type}\0${stateKey}`
    // A later one takes the place of an earlier one, but comes in its own turn.
    events.delete(key)
    events.set(key, { type, sender: creator, stateKey, content })
  }
  set('m.room.power_levels', powerLevels(creator, wish, rules, preset, invitees))
  if (alias) set('m.room.canonical_alias', { alias })
  set('m.room.join_rules', { join_rule: joinRule })
  set('m.room.history_visibility', { history_visibility: history })
  if (guests === 'can_join') set('m.room.guest_access', { guest_access: guests })
  if (isEncrypted) set('m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' })
  for (const state of wish.initial_state ?? []) set(state.type, state.content, state.state_key ?? '')
  if (wish.name !== undefined) set('m.room.name', { name: wish.name })
  if (wish.topic !== undefined) {
    set('m.room.topic', {
      topic: wish.topic,
      'm.topic': { 'm.text': [{ body: wish.topic, mimetype: 'text/plain' }] },
    })
  }
  return [...events.values()]
}

function powerLevels(
  creator: UserId,
  wish: RoomWish,
  rules: RoomRules,
  preset: Preset,
  invitees: readonly UserId[],
): JsonObject {
  const users: Record<string, number> = Object.create(null)
  // Creators of a room of version 12 stand above all levels and must not be listed.
  if (!rules.auth.privilegedCreators) {
    users[creator] = 100
    if (preset === 'trusted_private_chat') for (const invitee of invitees) users[invitee] = 100
  }
  return {
    users: { ...users },
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.power_levels': 100,
      'm.room.history_visibility': 100,
      'm.room.canonical_alias': 50,
      'm.room.avatar': 50,
      'm.room.tombstone': rules.auth.privilegedCreators ? 150 : 100,
      'm.room.server_acl': 100,
      'm.room.encryption': 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: preset === 'public_chat' ? 50 : 0,
    historical: 100,
    ...wish.power_level_content_override,
  }
}
