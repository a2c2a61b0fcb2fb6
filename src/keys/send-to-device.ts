import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_EVENT_BYTES } from '../matrix/limits.ts'
import { insertOutgoingToDevice } from '../storage/outgoing-to-device.ts'
import { insertTransactions } from '../storage/room-state.ts'
import { devicesToSendTo } from '../storage/send-to-device.ts'
import type { Fact } from '../storage/stream.ts'
import { insertToDevice, type ToDeviceRow } from '../storage/user-data.ts'
import { MAX_TO_DEVICE_BYTES, MAX_TO_DEVICE_MESSAGES } from './limits.ts'
import { outgoingToDevice } from './outgoing-to-device.ts'
import type { SentToDevice } from './sent-to-device.ts'

type Ctx = Pick<
  Context,
  'database' | 'dictionaries' | 'domains' | 'writer' | 'clock' | 'random' | 'remoteServers' | 'sentToDevice'
>

/** Contents by user and device; the device `*` stands for all that are not named. */
export type Messages = ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>>

/** A request by its transaction id. The device is empty for application services, which have none. */
export type ToDeviceTransaction = { readonly userNid: number; readonly deviceId: string; readonly txnId: string }

const everyDevice = '*'
/** In `transactions.event_nid`: there is no event to answer with. */
const noEvent = 0
const uniqueViolation = '23505'

/**
 * Sends messages to devices, all in one commit; a repeated transaction sends nothing. Devices that do not exist are
 * passed over in silence. Those of other servers' users are queued in the same commit.
 *
 * Spec: Client-Server API, "Send-to-Device messaging" (v1.19).
 *
 * @throws MatrixError M_TOO_LARGE
 */
export async function sendToDevice(
  ctx: Ctx,
  sender: UserId,
  type: string,
  messages: Messages,
  transaction: ToDeviceTransaction,
): Promise<void> {
  const { userNid, deviceId, txnId } = transaction
  const key = [userNid, deviceId, type, txnId].join('\0')
  const { underWay, ended } = ctx.sentToDevice
  if (ended.has(key)) return
  const before = underWay.get(key)
  if (before) return before
  const sending = sendOnce(ctx, sender, type, messages, transaction)
  underWay.set(key, sending)
  try {
    await sending
    ended.set(key, 1)
  } finally {
    underWay.delete(key)
  }
}

async function sendOnce(
  ctx: Ctx,
  sender: UserId,
  type: string,
  messages: Messages,
  { userNid, deviceId, txnId }: ToDeviceTransaction,
): Promise<void> {
  const texts = messageTexts(sender, type, messages)
  const scope = `sendToDevice ${type}`
  const rows = await addressed(ctx, texts, [userNid, deviceId, scope, txnId])
  if (rows === undefined) return
  const outgoing = outgoingToDevice(ctx, sender, type, messages)
  if (rows.length + outgoing.length === 0) return
  const created = ctx.clock.now()
  try {
    await ctx.writer.write({
      positions: rows.length + outgoing.length,
      write(batch, first) {
        batch.add(insertTransactions, {
          user_nid: userNid,
          device_id: deviceId,
          scope,
          txn_id: txnId,
          event_nid: noEvent,
          created,
        })
        for (const [index, row] of rows.entries()) {
          const position = first + index
          batch.add(insertToDevice, { ...row, position })
          const { user_nid: recipient, device_id: device, content } = row
          batch.fact({ kind: 'toDevice', position, userNid: recipient, deviceId: device, content } satisfies Fact)
        }
        for (const [index, row] of outgoing.entries()) {
          const position = first + rows.length + index
          batch.add(insertOutgoingToDevice, { ...row, position })
          const { origin, server_name: server } = row
          batch.fact({ kind: 'outgoingToDevice', position, origin, server } satisfies Fact)
        }
      },
    })
  } catch (error) {
    // Another process has taken the same request, or this one long ago: the other one was first.
    if ((error as { code?: string }).code !== uniqueViolation) throw error
  }
}

type Addressed = Omit<ToDeviceRow, 'position'>
type Texts = ReadonlyMap<UserId, ReadonlyMap<string, string>>

function messageTexts(sender: UserId, type: string, messages: Messages): Texts {
  const tail = `,"sender":${JSON.stringify(sender)},"type":${JSON.stringify(type)}}`
  const texts = new Map<UserId, Map<string, string>>()
  for (const [userId, contents] of messages) {
    const ofUser = new Map<string, string>()
    for (const [deviceId, content] of contents) {
      const text = JSON.stringify(content)
      if (Buffer.byteLength(text) > MAX_EVENT_BYTES) {
        throw new MatrixError('M_TOO_LARGE', `A message has more than ${MAX_EVENT_BYTES} bytes`)
      }
      ofUser.set(deviceId, `{"content":${text}${tail}`)
    }
    texts.set(userId, ofUser)
  }
  return texts
}

/** What to send to our own users; undefined for a transaction that is known to have been made before. */
async function addressed(ctx: Ctx, texts: Texts, transaction: readonly unknown[]): Promise<Addressed[] | undefined> {
  const local = [...texts.keys()].filter((userId) => ctx.domains.isLocal(serverNameOf(userId)))
  const known = toKnownDevices(ctx.sentToDevice, texts, local)
  if (known) return withinLimits(known)
  const nids = await ctx.dictionaries.findUsers(local)
  if (nids.size === 0) return []
  const byNid = new Map([...nids].map(([userId, nid]) => [nid, texts.get(userId)!]))
  const devices = await ctx.database.read(devicesToSendTo, [[...byNid.keys()], ...transaction])
  if (devices[0]?.is_repeated === true) return undefined
  rememberDevices(ctx.sentToDevice, nids, devices)
  const rows: Addressed[] = []
  for (const { user_nid: userNid, device_id: deviceId } of devices) {
    const ofUser = byNid.get(userNid)!
    const content = ofUser.get(deviceId) ?? ofUser.get(everyDevice)
    if (content === undefined) continue
    rows.push({ user_nid: userNid, device_id: deviceId, content })
  }
  return withinLimits(rows)
}

/** @throws MatrixError M_TOO_LARGE */
function withinLimits(rows: Addressed[]): Addressed[] {
  let size = 0
  for (const { content } of rows) size += content.length
  if (rows.length > MAX_TO_DEVICE_MESSAGES || size > MAX_TO_DEVICE_BYTES) {
    throw new MatrixError('M_TOO_LARGE', 'Too many messages in one request')
  }
  return rows
}

/** Undefined unless all are for devices that are known to be there. */
function toKnownDevices(
  { devices }: Pick<SentToDevice, 'devices'>,
  texts: Texts,
  local: readonly UserId[],
): Addressed[] | undefined {
  const rows: Addressed[] = []
  for (const userId of local) {
    const known = devices.get(userId)
    if (!known) return undefined
    for (const [deviceId, content] of texts.get(userId)!) {
      if (deviceId === everyDevice || !known.deviceIds.has(deviceId)) return undefined
      rows.push({ user_nid: known.userNid, device_id: deviceId, content })
    }
  }
  return rows
}

function rememberDevices(
  sent: Pick<SentToDevice, 'devices'>,
  nids: ReadonlyMap<UserId, number>,
  devices: readonly { user_nid: number; device_id: string }[],
): void {
  const byUser = Map.groupBy(devices, ({ user_nid: userNid }) => userNid)
  for (const [userId, userNid] of nids) {
    const deviceIds = new Set(byUser.get(userNid)?.map(({ device_id: deviceId }) => deviceId))
    sent.devices.set(userId, { userNid, deviceIds })
  }
}
