import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { creatorsOf, powerLevelsOf } from '../matrix/power-levels.ts'
import { offeredRules, type RoomRules } from '../matrix/room-versions.ts'
import { statement } from '../storage/database.ts'
import { arrayText } from '../storage/operation.ts'
import type { EventDraft } from './append-event.ts'
import { createRoom } from './create-room.ts'
import { followReplacement } from './follow-replacement.ts'
import type { HotRoom } from './hot-room.ts'
import { joinedRoom } from './room-access.ts'
import { sendEvent } from './send-event.ts'

/** State that goes along. Spec: Client-Server API, "Room upgrades", "Server behaviour". */
const carriedOver = [
  'm.room.server_acl',
  'm.room.encryption',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.join_rules',
] as const

const moveAliases = statement<never>('move aliases', 'update room_aliases set room = $2 where room = $1')
const movePublished = statement<never>(
  'move published rooms',
  'update published_rooms set room = $2 where room = any($1::int[])',
)

/**
 * Replaces a room by a new one of another version, and closes the old one.
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION, M_FORBIDDEN for who may not send the tombstone.
 */
export async function upgradeRoom(
  ctx: Context,
  requester: Requester,
  roomId: RoomId,
  newVersion: string,
  additionalCreators: readonly string[] | undefined,
): Promise<RoomId> {
  const rules = offeredRules(newVersion, ctx.config.experimental)
  if (!rules) throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Room version ${newVersion} is not supported`)
  const old = await joinedRoom(ctx, roomId, requester.userId)
  const create = old.get('m.room.create', '')!
  const content = old.get('m.room.power_levels', '')?.pdu.content
  const levels = powerLevelsOf(content, create, old.rules)
  if (levels.userLevel(requester.userId) < levels.requiredFor('m.room.tombstone', true)) {
    throw new MatrixError('M_FORBIDDEN', 'You may not upgrade this room')
  }
  // From room version 12 on the id of the last event is not named, as it says nothing that can be relied on.
  const predecessor: JsonObject = rules.createEventIsRoomId
    ? { room_id: roomId }
    : { room_id: roomId, event_id: old.extremities[0]!.event.eventId }
  const { creator: _creator, room_version: _version, predecessor: _before, ...rest } = create.pdu.content
  const creation: Record<string, Json> = { ...rest, predecessor }
  delete creation.additional_creators
  if (rules.auth.privilegedCreators && additionalCreators) creation.additional_creators = [...additionalCreators]
  const profile = await ctx.profiles.of(requester.userNid)
  const replacement = await createRoom(ctx, {
    creator: requester.userId,
    roomVersion: newVersion,
    creation,
    profile: memberProfile(profile),
    events: await newRoomEvents(ctx, requester, old, rules, additionalCreators ?? []),
  })
  await followReplacement(ctx, replacement, requester.userId)
  await sendEvent(ctx, roomId, {
    type: 'm.room.tombstone',
    sender: requester.userId,
    stateKey: '',
    content: { body: 'This room has been replaced', replacement_room: replacement },
  })
  await moveNames(ctx, requester, old, replacement)
  await closeOldRoom(ctx, requester, old)
  return replacement
}

function memberProfile({ displayname, avatar_url: avatarUrl }: JsonObject): JsonObject {
  return {
    ...(displayname !== undefined && { displayname }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
  }
}

async function newRoomEvents(
  ctx: Context,
  requester: Requester,
  old: HotRoom,
  rules: RoomRules,
  additionalCreators: readonly string[],
): Promise<EventDraft[]> {
  await ctx.hotRooms.load(
    old,
    carriedOver.map((type) => [type, '']),
  )
  const events: EventDraft[] = []
  const add = (type: string, content: JsonObject, stateKey = ''): void => {
    events.push({ type, sender: requester.userId, stateKey, content })
  }
  const final = newPowerLevels(old, rules, requester, additionalCreators)
  add('m.room.power_levels', withAuthority(final, requester, rules))
  for (const type of carriedOver) {
    const content = old.get(type, '')?.pdu.content
    if (content) add(type, content)
  }
  // The bans stay bans.
  for (const { event } of await ctx.events.members(old.room)) {
    const { content, state_key: userId } = event.pdu
    if (content.membership === 'ban' && userId !== undefined) add('m.room.member', content, userId)
  }
  if (JSON.stringify(final) !== JSON.stringify(events[0]!.content)) add('m.room.power_levels', final)
  return events
}

/** The levels of the old room, for the creators of the new one: they stand above and must not be listed from version 12 on. */
function newPowerLevels(
  old: HotRoom,
  rules: RoomRules,
  requester: Requester,
  additionalCreators: readonly string[],
): JsonObject {
  const content = old.get('m.room.power_levels', '')?.pdu.content ?? {}
  const users = new Map(Object.entries((content.users ?? {}) as JsonObject))
  if (rules.auth.privilegedCreators) {
    users.delete(requester.userId)
    for (const creator of additionalCreators) users.delete(creator)
  } else if (old.rules.auth.privilegedCreators) {
    // Creators had no level: in a room without such a thing they get the highest one.
    for (const creator of creatorsOf(old.get('m.room.create', '')!, old.rules)) users.set(creator, 100)
  }
  return { ...content, users: Object.fromEntries(users) as JsonObject }
}

/** Whoever upgrades needs the power to set up the new room, even where the old one would not give it. */
function withAuthority(levels: JsonObject, requester: Requester, rules: RoomRules): JsonObject {
  if (rules.auth.privilegedCreators) return levels
  const users = (levels.users ?? {}) as JsonObject
  const own = users[requester.userId] ?? levels.users_default ?? 0
  const needed = Math.max(100, ...Object.values((levels.events ?? {}) as JsonObject).map(Number))
  return Number(own) >= needed ? levels : { ...levels, users: { ...users, [requester.userId]: needed } }
}

async function moveNames(ctx: Context, requester: Requester, old: HotRoom, replacement: RoomId): Promise<void> {
  const room = (await ctx.hotRooms.get(replacement))!
  await ctx.database.read(moveAliases, [old.room, room.room])
  await ctx.database.read(movePublished, [arrayText([old.room]), room.room])
  const alias = old.get('m.room.canonical_alias', '')?.pdu.content
  if (!alias || Object.keys(alias).length === 0) return
  const draft = { type: 'm.room.canonical_alias', sender: requester.userId, stateKey: '' }
  await ignoreRefusal(sendEvent(ctx, old.roomId, { ...draft, content: {} }))
  await ignoreRefusal(sendEvent(ctx, replacement, { ...draft, content: alias }))
}

/** Nobody should talk on in the old room, if the user has the power to say so. */
async function closeOldRoom(ctx: Context, requester: Requester, old: HotRoom): Promise<void> {
  const content = old.get('m.room.power_levels', '')?.pdu.content
  if (!content) return
  const level = Math.max(50, Number(content.users_default ?? 0) + 1)
  const draft = { type: 'm.room.power_levels', sender: requester.userId, stateKey: '' }
  const closed = { ...content, events_default: level, invite: level }
  await ignoreRefusal(sendEvent(ctx, old.roomId, { ...draft, content: closed }))
}

async function ignoreRefusal(sending: Promise<unknown>): Promise<void> {
  try {
    await sending
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
  }
}
