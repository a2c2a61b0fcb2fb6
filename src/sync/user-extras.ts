import type { Context } from '../context.ts'
import { statement } from '../storage/database.ts'
import { usersSharingARoom } from '../storage/room-users.ts'
import { accountDataOf, deleteToDevice, deviceListChangesFor, toDeviceOf } from '../storage/user-data.ts'
import type { RoomPlan } from './room-plan.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'

/** What a sync holds beside rooms, as JSON text that follows `next_batch`, and the account data of rooms. */
export type UserExtras = {
  readonly text: string
  readonly isEmpty: boolean
  readonly roomAccountData: ReadonlyMap<number, readonly string[]>
}

type AccountData = { room: number; type: string; content: string }

const toDevicePerSync = 1000

export async function loadUserExtras(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'deviceKeys' | 'pushRules'>,
  session: Session,
  plans: readonly RoomPlan[],
  request: SyncRequest,
  upTo: number,
): Promise<UserExtras> {
  const since = request.since?.position
  const [accountData, toDevice, deviceLists, keys] = await Promise.all([
    loadAccountData(ctx, session, since, upTo),
    loadToDevice(ctx, session, request, since, upTo),
    since === undefined ? undefined : loadDeviceLists(ctx, session, plans, since, upTo),
    ctx.deviceKeys.counts(request.reader),
  ])
  const { filter } = request
  const global: string[] = []
  const rooms = new Map<number, string[]>()
  for (const { room, type, content } of accountData) {
    const allows = (room === 0 ? filter.accountData : filter.roomAccountData).allows
    if (allows && !allows({ type, sender: request.reader.userId, content: {} })) continue
    const text = `{"content":${type === 'm.push_rules' ? ctx.pushRules.text(request.reader.userId, content) : content},"type":${JSON.stringify(type)}}`
    if (room === 0) global.push(text)
    else rooms.set(room, [...(rooms.get(room) ?? []), text])
  }
  if (since === undefined && !accountData.some(({ room, type }) => room === 0 && type === 'm.push_rules')) {
    global.push(`{"content":${ctx.pushRules.text(request.reader.userId, undefined)},"type":"m.push_rules"}`)
  }
  let text = ''
  if (global.length > 0) text += `,"account_data":{"events":[${global.join(',')}]}`
  if (toDevice.length > 0) text += `,"to_device":{"events":[${toDevice.join(',')}]}`
  if (deviceLists) text += `,"device_lists":${JSON.stringify(deviceLists)}`
  text += `,"device_one_time_keys_count":${JSON.stringify(keys.oneTime)}`
  text += `,"device_unused_fallback_key_types":${JSON.stringify(keys.unusedFallback)}`
  text += `,"org.matrix.msc2732.device_unused_fallback_key_types":${JSON.stringify(keys.unusedFallback)}`
  const isEmpty = global.length + toDevice.length === 0 && !deviceLists && rooms.size === 0
  return { text, isEmpty, roomAccountData: rooms }
}

async function loadAccountData(
  ctx: Pick<Context, 'database'>,
  session: Session,
  since: number | undefined,
  upTo: number,
): Promise<readonly AccountData[]> {
  if (since === undefined || since < session.completeAfter) {
    return ctx.database.read(accountDataOf, [session.userNid, since ?? -1, upTo])
  }
  const latest = new Map<string, AccountData>()
  for (const fact of session.accountData) {
    if (fact.position > since && fact.position <= upTo) latest.set(`${fact.room} ${fact.type}`, fact)
  }
  return [...latest.values()]
}

/**
 * Messages sent to the device, oldest first. A message is kept until the device comes back with a token that is newer.
 *
 * Spec: Client-Server API, "Send-to-Device messaging".
 */
async function loadToDevice(
  ctx: Pick<Context, 'database'>,
  session: Session,
  { reader }: SyncRequest,
  since: number | undefined,
  upTo: number,
): Promise<string[]> {
  const after = since ?? 0
  const isCold = after < session.completeAfter
  const acknowledged = isCold
    ? after > 0
    : session.toDevice.some((fact) => fact.deviceId === reader.deviceId && fact.position <= after)
  if (acknowledged) {
    await ctx.database.read(deleteToDevice, [reader.userNid, reader.deviceId, after])
    const kept = session.toDevice.filter((fact) => fact.deviceId !== reader.deviceId || fact.position > after)
    session.toDevice.splice(0, session.toDevice.length, ...kept)
  }
  if (isCold) {
    const rows = await ctx.database.read(toDeviceOf, [reader.userNid, reader.deviceId, after, upTo, toDevicePerSync])
    return rows.map((row) => row.content)
  }
  return session.toDevice
    .filter((fact) => fact.deviceId === reader.deviceId && fact.position > after && fact.position <= upTo)
    .map((fact) => fact.content)
}

/** Spec: Client-Server API, "Tracking the device list for a user". */
async function loadDeviceLists(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  session: Session,
  plans: readonly RoomPlan[],
  since: number,
  upTo: number,
): Promise<{ changed: string[]; left: string[] } | undefined> {
  const changed = new Set<number>()
  const left = new Set<number>()
  for (const { position, userNid, left: hasLeft } of session.deviceLists) {
    if (position <= since || position > upTo) continue
    ;(hasLeft ? left : changed).add(userNid)
  }
  if (since < session.completeAfter) {
    const rows = await ctx.database.read(deviceListChangesFor, [session.userNid, since, upTo])
    for (const row of rows) changed.add(row.user_nid)
  }
  const rooms = plans.filter(({ userRoom }) => userRoom.since > since)
  const entered = rooms.some(({ section }) => section === 'join')
  const quit = rooms.some(({ section }) => section === 'leave')
  if (entered || quit || left.size > 0) await compareSharers(ctx, session, { changed, left }, rooms)
  if (changed.size + left.size === 0) return undefined
  const userIds = await ctx.dictionaries.userIds([...changed, ...left])
  const named = (nids: Iterable<number>): string[] => [...nids].flatMap((nid) => userIds.get(nid) ?? [])
  return { changed: named(changed), left: named(left) }
}

/** Joining a room brings its members' devices into sight, leaving the last common one takes them out of it. */
async function compareSharers(
  ctx: Pick<Context, 'database'>,
  session: Session,
  lists: { changed: Set<number>; left: Set<number> },
  rooms: readonly RoomPlan[],
): Promise<void> {
  const nids = rooms.map(({ userRoom }) => userRoom.room)
  const members = nids.length === 0 ? [] : await ctx.database.read(membersOfRooms, [nids])
  const shared = await ctx.database.read(usersSharingARoom, [
    session.userNid,
    [...new Set([...lists.left, ...members.map((member) => member.user_nid)])],
  ])
  const sharing = new Set(shared.map((row) => row.user_nid))
  for (const { user_nid: nid, room } of members) {
    if (nid === session.userNid) continue
    const isJoined = session.rooms.get(room)?.membership === 'join'
    if (isJoined && sharing.has(nid)) lists.changed.add(nid)
    else if (!sharing.has(nid)) lists.left.add(nid)
  }
  for (const nid of lists.left) if (sharing.has(nid)) lists.left.delete(nid)
  for (const nid of lists.left) lists.changed.delete(nid)
}

const membersOfRooms = statement<{ room: number; user_nid: number }>(
  'members of rooms',
  'select room, user_nid from room_users where room = any($1::int[]) and membership = 1',
)
