import { isDeleted } from '../account-data/account-data.ts'
import type { Context } from '../context.ts'
import { keyChanges } from '../keys/key-changes.ts'
import { usersSharingARoom } from '../storage/room-users.ts'
import { deleteToDevice, type NewsRow } from '../storage/user-data.ts'
import type { SyncFilter } from './filter.ts'
import type { RoomPlan } from './room-plan.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'

/** What a sync holds beside rooms, as JSON text that follows `next_batch`, and the account data of rooms. */
export type UserExtras = {
  readonly text: string
  readonly isEmpty: boolean
  readonly roomAccountData: ReadonlyMap<number, readonly string[]>
  /** Messages after this position are still to come; undefined: all were given. */
  readonly toDeviceUpTo: number | undefined
}

type AccountData = { readonly room: number; readonly type: string; readonly content: string }
type ToDevice = { readonly position: number; readonly content: string }

/** Messages to a device in one answer; the rest comes with the next. */
export const toDevicePerSync = 100

type Engine = Pick<Context, 'config' | 'database' | 'dictionaries' | 'deviceKeys' | 'pushRules'>

/** From where the two parts that `newsOfUser` reads are not in memory; undefined where they are. */
export function coldSince(
  session: Session,
  since: number | undefined,
  toDeviceSince: number,
): { accountData: number | undefined; toDevice: number | undefined } {
  return {
    accountData: since === undefined || since < session.completeAfter ? (since ?? -1) : undefined,
    toDevice: toDeviceSince < session.completeAfter ? toDeviceSince : undefined,
  }
}

/** @param news What `newsOfUser` found; nothing of a part that is in memory. */
export async function loadUserExtras(
  ctx: Engine,
  session: Session,
  plans: readonly RoomPlan[],
  request: SyncRequest,
  upTo: number,
  news: Promise<readonly NewsRow[]>,
): Promise<UserExtras> {
  const since = request.since?.position
  const [accountData, toDevice, deviceLists, keys] = await Promise.all([
    loadAccountData(session, since, upTo, news),
    loadToDevice(ctx, session, request, upTo, news),
    since === undefined ? undefined : loadDeviceLists(ctx, session, moveOf(plans, request.filter, since), since, upTo),
    ctx.deviceKeys.counts(request.reader),
  ])
  const { global, rooms } = accountDataTexts(ctx, request, accountData)
  const { messages } = toDevice
  let text = ''
  if (global.length > 0) text += `,"account_data":{"events":[${global.join(',')}]}`
  if (messages.length > 0) text += `,"to_device":{"events":[${messages.join(',')}]}`
  if (deviceLists) text += `,"device_lists":${JSON.stringify(deviceLists)}`
  text += `,"device_one_time_keys_count":${JSON.stringify(keys.oneTime)}`
  text += `,"device_unused_fallback_key_types":${JSON.stringify(keys.unusedFallback)}`
  text += `,"org.matrix.msc2732.device_unused_fallback_key_types":${JSON.stringify(keys.unusedFallback)}`
  const isEmpty = global.length + messages.length === 0 && !deviceLists && rooms.size === 0
  return { text, isEmpty, roomAccountData: rooms, toDeviceUpTo: toDevice.upTo }
}

function accountDataTexts(
  ctx: Pick<Engine, 'config' | 'pushRules'>,
  { filter, reader, since }: SyncRequest,
  accountData: readonly AccountData[],
): { global: string[]; rooms: Map<number, string[]> } {
  const global: string[] = []
  const rooms = new Map<number, string[]>()
  const { userId } = reader
  const allowed = (room: number, type: string): boolean =>
    (room === 0 ? filter.accountData : filter.roomAccountData).allows?.({ type, sender: userId, content: {} }) ?? true
  for (const { room, type, content } of accountData) {
    if (!allowed(room, type)) continue
    if (since === undefined && isDeleted(ctx, { type, content })) continue
    const value = type === 'm.push_rules' ? ctx.pushRules.text(userId, content) : content
    const text = `{"content":${value},"type":${JSON.stringify(type)}}`
    if (room === 0) global.push(text)
    else rooms.set(room, [...(rooms.get(room) ?? []), text])
  }
  const hasRules = accountData.some(({ room, type }) => room === 0 && type === 'm.push_rules')
  if (since === undefined && !hasRules && allowed(0, 'm.push_rules')) {
    global.push(`{"content":${ctx.pushRules.text(userId, undefined)},"type":"m.push_rules"}`)
  }
  return { global, rooms }
}

async function loadAccountData(
  session: Session,
  since: number | undefined,
  upTo: number,
  news: Promise<readonly NewsRow[]>,
): Promise<readonly AccountData[]> {
  if (coldSince(session, since, 0).accountData !== undefined) {
    const rows = (await news).filter(({ part }) => part === 'account')
    return rows.map(({ room, type, text }) => ({ room: room!, type: type!, content: text }))
  }
  const latest = new Map<string, AccountData>()
  for (const fact of session.accountData) {
    if (fact.position > since! && fact.position <= upTo) latest.set(`${fact.room} ${fact.type}`, fact)
  }
  return [...latest.values()]
}

/**
 * Messages sent to the device, oldest first. A message is kept until the device comes back with a token that is newer.
 *
 * Spec: Client-Server API, "Send-to-Device messaging".
 */
export async function loadToDevice(
  ctx: Pick<Context, 'database'>,
  session: Session,
  { reader, since }: Pick<SyncRequest, 'reader' | 'since'>,
  upTo: number,
  news: Promise<readonly NewsRow[]>,
): Promise<{ messages: string[]; upTo: number | undefined }> {
  const after = since?.toDevice ?? since?.position ?? 0
  const isCold = after < session.completeAfter
  if (after > 0 && (isCold || session.delivered.has(reader.deviceId))) {
    await ctx.database.read(deleteToDevice, [reader.userNid, reader.deviceId, after])
    if ((session.delivered.get(reader.deviceId) ?? 0) <= after) session.delivered.delete(reader.deviceId)
    const kept = session.toDevice.filter((fact) => fact.deviceId !== reader.deviceId || fact.position > after)
    session.toDevice.splice(0, session.toDevice.length, ...kept)
  }
  const found: ToDevice[] = isCold
    ? (await news)
        .filter(({ part }) => part === 'device')
        .map(({ position, text }) => ({ position, content: text }))
        .sort((one, other) => one.position - other.position)
    : session.toDevice
        .filter((fact) => fact.deviceId === reader.deviceId && fact.position > after && fact.position <= upTo)
        .slice(0, toDevicePerSync)
  const last = found.at(-1)
  if (last) session.delivered.set(reader.deviceId, Math.max(last.position, session.delivered.get(reader.deviceId) ?? 0))
  return {
    messages: found.map(({ content }) => content),
    upTo: found.length === toDevicePerSync ? last!.position : undefined,
  }
}

/**
 * Whether somebody has to be looked for in the database: the reader came into a room or out of one, or is told now of one that was
 * joined without its members.
 */
export type Move = { readonly moved: boolean; readonly completed: boolean }

function moveOf(plans: readonly RoomPlan[], filter: SyncFilter, since: number): Move {
  const isWhole = !filter.state.lazyLoadMembers
  return {
    moved: plans.some(({ section, userRoom }) => (section === 'join' || section === 'leave') && userRoom.since > since),
    completed: isWhole && plans.some(({ userRoom }) => Number(userRoom.completed) > since),
  }
}

/**
 * Spec: Client-Server API, "Tracking the device list for a user". From memory, unless there is a move, or the reader was away for
 * longer than memory goes back.
 */
export async function loadDeviceLists(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  session: Session,
  { moved, completed }: Move,
  since: number,
  upTo: number,
): Promise<{ changed: string[]; left: string[] } | undefined> {
  if (moved || completed || since < session.completeAfter) {
    const lists = await keyChanges(ctx, session, { from: since, to: upTo }, { completed })
    return lists.changed.length + lists.left.length === 0 ? undefined : lists
  }
  const changed = new Set<number>()
  const left = new Set<number>()
  for (const { position, userNid, left: hasLeft } of session.deviceLists) {
    if (position <= since || position > upTo) continue
    ;(hasLeft ? left : changed).add(userNid)
  }
  if (left.size > 0) {
    const sharing = await ctx.database.read(usersSharingARoom, [session.userNid, [...left]])
    for (const { user_nid: nid } of sharing) left.delete(nid)
    for (const nid of left) changed.delete(nid)
  }
  if (changed.size + left.size === 0) return undefined
  const userIds = await ctx.dictionaries.userIds([...changed, ...left])
  const named = (nids: Iterable<number>): string[] => [...nids].flatMap((nid) => userIds.get(nid) ?? [])
  return { changed: named(changed), left: named(left) }
}
