import { sendToDevice } from '../../src/keys/send-to-device.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import {
  fitsAnId,
  parseEventId,
  parseRoomId,
  parseUserId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { RemotePresence } from '../../src/presence/presence.ts'
import { mayBeJoined } from '../../src/rooms/room-access.ts'
import { isInPartialRoom } from '../../src/storage/partial-rooms.ts'
import { forgetRemoteDeviceList } from '../../src/storage/remote-device-lists.ts'
import { anyDeviceOf } from '../../src/storage/send-to-device.ts'
import { insertDeviceListChanges } from '../../src/storage/user-data.ts'
import type { Federation } from '../federation.ts'
import { isAllowedByAcl } from '../server-acl.ts'

/** Milliseconds that somebody types without saying so again. */
const typingFor = 30_000
/** Of one message. */
const mostReceipts = 100
const mostPresences = 1_000
/** Characters of what a user says about itself. */
const longestStatus = 1_024

/**
 * Takes in what is told without being an event of a room. Whoever it is about belongs to the server it comes from.
 *
 * @param changed gets the users whose devices or keys changed: to be told once for a transaction.
 *
 * Spec: Server-Server API, "EDUs" (v1.19).
 */
export async function receiveEdu(
  federation: Federation,
  origin: ServerName,
  edu: Json,
  changed: Set<UserId>,
): Promise<void> {
  const { edu_type: type, content } = objectOf(edu)
  const told = objectOf(content)
  if (type === 'm.receipt') await receiveReceipts(federation, origin, told)
  else if (type === 'm.typing') await receiveTyping(federation, origin, told)
  else if (type === 'm.presence') await receivePresence(federation, origin, told)
  else if (type === 'm.direct_to_device') await receiveToDevice(federation, origin, told)
  else if (type === 'm.device_list_update' || type === 'm.signing_key_update') {
    const userId = userOf(told.user_id, origin)
    if (userId) changed.add(userId)
  }
}

async function receiveTyping({ ctx }: Federation, origin: ServerName, content: JsonObject): Promise<void> {
  const userId = userOf(content.user_id, origin)
  const roomId = typeof content.room_id === 'string' ? parseRoomId(content.room_id) : undefined
  const room = roomId && (await ctx.hotRooms.get(roomId))
  if (!userId || !room || !isAllowedByAcl(room, origin) || !(await mayBeJoined(ctx, room, userId))) return
  ctx.typing.set(room.room, userId, content.typing === true ? ctx.clock.now() + typingFor : undefined)
}

async function receiveReceipts(
  { ctx, earlyReceipts }: Federation,
  origin: ServerName,
  content: JsonObject,
): Promise<void> {
  for (const [roomName, receipts] of Object.entries(content).slice(0, mostReceipts)) {
    const roomId = parseRoomId(roomName)
    const room = roomId && (await ctx.hotRooms.get(roomId))
    if (!room || !isAllowedByAcl(room, origin)) continue
    for (const [name, receipt] of Object.entries(objectOf(objectOf(receipts)['m.read'])).slice(0, mostReceipts)) {
      const userId = userOf(name, origin)
      const { event_ids: eventIds, data } = objectOf(receipt)
      const last = Array.isArray(eventIds) ? eventIds.at(-1) : undefined
      const eventId = typeof last === 'string' ? parseEventId(last) : undefined
      if (!userId || !eventId) continue
      // In a room whose members are not all known, one may be heard of so for the first time.
      const users = await (room.partialState
        ? ctx.dictionaries.internUsers([userId])
        : ctx.dictionaries.findUsers([userId]))
      const userNid = users.get(userId)
      const { thread_id: thread } = objectOf(data)
      const threadId = typeof thread === 'string' && fitsAnId(thread) && !thread.includes('\0') ? thread : ''
      if (userNid === undefined || !(await mayBeJoined(ctx, room, userId))) continue
      await earlyReceipts.take({ userId, userNid, room, eventId, threadId })
    }
  }
}

/** Spec: Server-Server API, "Presence" (v1.19). */
async function receivePresence({ ctx }: Federation, origin: ServerName, content: JsonObject): Promise<void> {
  if (!ctx.presence || !Array.isArray(content.push)) return
  const said = new Map<UserId, RemotePresence>()
  for (const one of content.push.slice(0, mostPresences).map(objectOf)) {
    const userId = userOf(one.user_id, origin)
    const { presence: state, last_active_ago: ago, currently_active: isActive, status_msg: statusMsg } = one
    if (!userId || (state !== 'online' && state !== 'unavailable' && state !== 'offline')) continue
    said.set(userId, {
      state,
      lastActiveAgo: typeof ago === 'number' ? ago : undefined,
      isActive: isActive === true,
      statusMsg: typeof statusMsg === 'string' ? statusMsg.slice(0, longestStatus) : undefined,
    })
  }
  await ctx.presence.receive(said)
}

/** Requests beyond the limit are passed over: their devices ask again. */
async function mayAskForKeys(ctx: Federation['ctx'], origin: ServerName): Promise<boolean> {
  try {
    await ctx.rateLimits.take('key_requests', origin)
    return true
  } catch (error) {
    if (error instanceof MatrixError) return false
    throw error
  }
}

async function receiveToDevice({ ctx }: Federation, origin: ServerName, content: JsonObject): Promise<void> {
  const sender = userOf(content.sender, origin)
  const { type, message_id: messageId } = content
  if (
    !sender ||
    typeof type !== 'string' ||
    typeof messageId !== 'string' ||
    parseEventId(`$${messageId}`) === undefined
  )
    return
  const messages = new Map<UserId, Map<string, JsonObject>>()
  for (const [name, devices] of Object.entries(objectOf(content.messages))) {
    const userId = parseUserId(name)
    if (userId === undefined || !ctx.domains.isLocal(serverNameOf(userId))) continue
    messages.set(userId, new Map(Object.entries(objectOf(devices)).map(([id, one]) => [id, objectOf(one)])))
  }
  const recipients = [...(await ctx.dictionaries.findUsers([...messages.keys()])).values()]
  // Whom there is nobody to write to is not even worth a number.
  if (recipients.length === 0) return
  const isKnown = (await ctx.dictionaries.findUsers([sender])).size > 0
  if (!isKnown && (await ctx.database.read(anyDeviceOf, [recipients])).length === 0) return
  if (type === 'm.room_key_request' && !(await mayAskForKeys(ctx, origin))) return
  const users = await ctx.dictionaries.internUsers([sender])
  const transaction = { userNid: users.get(sender)!, deviceId: '', txnId: messageId }
  await sendToDevice(ctx, sender, type, messages, transaction)
}

/**
 * Whatever changed of a user's devices and keys, and whether something before it was missed: they are fetched anew when
 * somebody asks for them. Here it is told that they changed, and what was known is forgotten.
 */
export async function deviceListChanged({ ctx }: Federation, userId: UserId): Promise<void> {
  const userNid = await numberOfMember(ctx, userId)
  if (userNid === undefined) return
  await ctx.writer.write({
    positions: 1,
    write(batch, position) {
      batch.add(insertDeviceListChanges, { position, user_nid: userNid, reader_nid: null })
      batch.fact({ kind: 'deviceList', position, userNid })
    },
  })
  await ctx.database.read(forgetRemoteDeviceList, [userNid])
}

/** In a room whose members are not known yet there may be one who was never heard of. */
async function numberOfMember(ctx: Federation['ctx'], userId: UserId): Promise<number | undefined> {
  const known = (await ctx.dictionaries.findUsers([userId])).get(userId)
  if (known !== undefined) return known
  const [row] = await ctx.database.read(isInPartialRoom, [serverNameOf(userId)])
  return row?.is_in ? (await ctx.dictionaries.internUsers([userId])).get(userId) : undefined
}

function userOf(value: Json | undefined, origin: ServerName): UserId | undefined {
  const userId = typeof value === 'string' ? parseUserId(value) : undefined
  return userId !== undefined && serverNameOf(userId) === origin ? userId : undefined
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
