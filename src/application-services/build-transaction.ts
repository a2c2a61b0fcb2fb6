import type { Context } from '../context.ts'
import { type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { type Person, presenceContent } from '../presence/person.ts'
import { clientEventText } from '../rooms/client-event.ts'
import { keyCountsOfUsers } from '../storage/application-services.ts'
import { storedState } from '../storage/events.ts'
import type {
  DeviceListFact,
  EventFact,
  Fact,
  ReceiptFact,
  RemoteMembershipFact,
  ToDeviceFact,
} from '../storage/facts.ts'
import { usersSharingARoom } from '../storage/room-users.ts'
import type { Interest } from './interest.ts'
import type { ApplicationService } from './registration.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'hotRooms' | 'clock' | 'typing' | 'domains'>

/** Things told in one transaction. */
const mostItems = 100

/** What a span of the stream and the rooms where somebody began or stopped typing mean for a service. */
export type BuiltTransaction = {
  /** JSON text; undefined: there is nothing to tell. */
  readonly body: string | undefined
  /** Everything up to here is in it, or is of no interest. */
  readonly upTo: number
}

type Collected = {
  readonly events: string[]
  readonly ephemeral: JsonObject[]
  readonly toDevice: JsonObject[]
  readonly changed: Set<UserId>
  /** Its users whose keys may have become fewer. */
  readonly concerned: Set<number>
}

/**
 * Spec: Application Service API, "Pushing events", "Pushing ephemeral data" (v1.19); MSC2409 and MSC4203 (messages to
 * devices), MSC3202 (device lists and counts of keys).
 */
export async function buildTransaction(
  ctx: Engine,
  service: ApplicationService,
  interest: Interest,
  span: {
    readonly facts: readonly Fact[]
    readonly upTo: number
    readonly typing: ReadonlySet<number>
    readonly people: ReadonlySet<Person>
  },
): Promise<BuiltTransaction> {
  const into: Collected = { events: [], ephemeral: [], toDevice: [], changed: new Set(), concerned: new Set() }
  let { upTo } = span
  for (const [index, fact] of span.facts.entries()) {
    await collect(ctx, service, interest, fact, into)
    const isFull = into.events.length + into.ephemeral.length + into.toDevice.length >= mostItems
    // What has one position is told together.
    if (!isFull || span.facts[index + 1]?.position === fact.position) continue
    upTo = index === span.facts.length - 1 ? span.upTo : fact.position
    break
  }
  if (hasEphemeral(service)) {
    await collectTyping(ctx, interest, span.typing, into)
    await collectPresence(ctx, interest, span.people, into)
  }
  return { body: await bodyOf(ctx, service, into), upTo }
}

export function hasEphemeral({ ephemeral }: ApplicationService): boolean {
  return ephemeral.stable || ephemeral.unstable
}

async function collect(
  ctx: Engine,
  service: ApplicationService,
  interest: Interest,
  fact: Fact,
  into: Collected,
): Promise<void> {
  switch (fact.kind) {
    case 'event':
      return collectEvent(ctx, service, interest, fact, into)
    case 'remoteMembership':
      return collectRemoteMembership(ctx, interest, fact, into)
    case 'receipt':
      if (hasEphemeral(service)) await collectReceipt(ctx, interest, fact, into)
      return
    case 'toDevice':
      if (hasEphemeral(service)) await collectToDevice(ctx, interest, fact, into)
      return
    case 'deviceList':
      if (service.hasDeviceExtensions) await collectDeviceList(ctx, interest, fact, into)
      return
  }
}

async function collectEvent(
  ctx: Engine,
  service: ApplicationService,
  interest: Interest,
  fact: EventFact,
  into: Collected,
): Promise<void> {
  if (!(await interest.inEvent(fact))) return
  into.events.push(clientEventText(fact.stored, { now: ctx.clock.now(), roomId: fact.roomId, replaced: fact.replaced }))
  if (!service.hasDeviceExtensions) return
  for (const userNid of await interest.usersIn(fact.stored.room)) into.concerned.add(userNid)
}

/** One of its users was invited to a room that nobody here is in, say. */
async function collectRemoteMembership(
  ctx: Engine,
  interest: Interest,
  { userNid, room, roomId, event }: RemoteMembershipFact,
  into: Collected,
): Promise<void> {
  const userId = (await ctx.dictionaries.userIds([userNid])).get(userNid)!
  if (!interest.isOurs(userId)) return
  const stored = storedState(room, { nid: 0, kind: 0, senderNid: 0, event })
  into.events.push(clientEventText(stored, { now: ctx.clock.now(), roomId }))
}

async function collectReceipt(ctx: Engine, interest: Interest, fact: ReceiptFact, into: Collected): Promise<void> {
  const room = await ctx.hotRooms.getByNid(fact.room)
  if (!room || !(await interest.inRoom(fact.room, room.roomId))) return
  const userId = (await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!
  if (fact.receiptType === 'm.read.private' && !interest.isOurs(userId)) return
  const data = { ts: fact.ts, ...(fact.threadId !== '' && { thread_id: fact.threadId }) }
  const content = { [fact.eventId]: { [fact.receiptType]: { [userId]: data } } }
  into.ephemeral.push({ type: 'm.receipt', room_id: room.roomId, content })
}

async function collectToDevice(ctx: Engine, interest: Interest, fact: ToDeviceFact, into: Collected): Promise<void> {
  const userId = (await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!
  if (!interest.isOurs(userId)) return
  into.toDevice.push({
    ...(JSON.parse(fact.content) as JsonObject),
    to_user_id: userId,
    to_device_id: fact.deviceId,
  })
  into.concerned.add(fact.userNid)
}

async function collectDeviceList(
  ctx: Engine,
  interest: Interest,
  fact: DeviceListFact,
  into: Collected,
): Promise<void> {
  const around = await ctx.database.read(usersSharingARoom, [fact.userNid, null])
  const nids = [fact.userNid, ...around.map((row) => row.user_nid)]
  const ids = await ctx.dictionaries.userIds(nids)
  const readers = fact.readerNid === undefined ? nids : [fact.readerNid]
  const isRead = readers.some((nid) => {
    const id = ids.get(nid)
    return id !== undefined && ctx.domains.isLocal(serverNameOf(id)) && interest.isOurs(id)
  })
  if (isRead) into.changed.add(ids.get(fact.userNid)!)
}

async function collectTyping(
  ctx: Engine,
  interest: Interest,
  rooms: ReadonlySet<number>,
  into: Collected,
): Promise<void> {
  for (const nid of rooms) {
    const room = await ctx.hotRooms.getByNid(nid)
    if (!room || !(await interest.inRoom(nid, room.roomId as RoomId))) continue
    const userIds = ctx.typing.in(nid)?.userIds ?? []
    into.ephemeral.push({ type: 'm.typing', room_id: room.roomId, content: { user_ids: userIds } })
  }
}

async function collectPresence(
  ctx: Engine,
  interest: Interest,
  people: ReadonlySet<Person>,
  into: Collected,
): Promise<void> {
  for (const person of people) {
    if (!interest.isOurs(person.userId) && !(await isSeenBy(ctx, interest, person))) continue
    into.ephemeral.push({
      type: 'm.presence',
      sender: person.userId,
      content: presenceContent(person, ctx.clock.now()),
    })
  }
}

async function isSeenBy(ctx: Engine, interest: Interest, { rooms }: Person): Promise<boolean> {
  for (const nid of rooms ?? []) {
    const room = await ctx.hotRooms.getByNid(nid)
    if (room && (await interest.inRoom(nid, room.roomId as RoomId))) return true
  }
  return false
}

async function bodyOf(ctx: Engine, service: ApplicationService, from: Collected): Promise<string | undefined> {
  const { events, ephemeral, toDevice, changed } = from
  if (events.length + ephemeral.length + toDevice.length + changed.size === 0) return undefined
  let text = `{"events":[${events.join(',')}]`
  const add = (key: string, value: Json): void => {
    text += `,${JSON.stringify(key)}:${JSON.stringify(value)}`
  }
  if (hasEphemeral(service)) {
    add('ephemeral', ephemeral)
    add('to_device', toDevice)
    if (service.ephemeral.unstable) {
      add('de.sorunome.msc2409.ephemeral', ephemeral)
      add('de.sorunome.msc2409.to_device', toDevice)
    }
  }
  if (service.hasDeviceExtensions) {
    const { oneTime, unusedFallback } = await keyCounts(ctx, from.concerned)
    if (changed.size > 0) add('org.matrix.msc3202.device_lists', { changed: [...changed], left: [] })
    add('org.matrix.msc3202.device_one_time_keys_count', oneTime)
    add('org.matrix.msc3202.device_one_time_key_counts', oneTime)
    add('org.matrix.msc3202.device_unused_fallback_key_types', unusedFallback)
  }
  return `${text}}`
}

type ByDevice<Value> = { [userId: string]: { [deviceId: string]: Value } }

async function keyCounts(
  ctx: Pick<Engine, 'database'>,
  users: ReadonlySet<number>,
): Promise<{ oneTime: ByDevice<JsonObject>; unusedFallback: ByDevice<string[]> }> {
  const oneTime: ByDevice<{ [algorithm: string]: Json }> = Object.create(null)
  const unusedFallback: ByDevice<string[]> = Object.create(null)
  const rows = users.size === 0 ? [] : await ctx.database.read(keyCountsOfUsers, [[...users]])
  for (const { user_id: userId, device_id: deviceId, algorithm, unclaimed, unused_fallback: hasFallback } of rows) {
    const counts = ((oneTime[userId] ??= Object.create(null))[deviceId] ??= Object.create(null))
    const types = ((unusedFallback[userId] ??= Object.create(null))[deviceId] ??= [])
    if (algorithm !== null) counts[algorithm] = unclaimed
    if (algorithm !== null && hasFallback) types.push(algorithm)
  }
  return { oneTime, unusedFallback }
}
