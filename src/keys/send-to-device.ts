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

type Ctx = Pick<Context, 'database' | 'dictionaries' | 'domains' | 'writer' | 'clock' | 'random' | 'remoteServers'>

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
  const texts = messageTexts(sender, type, messages)
  const { userNid, deviceId, txnId } = transaction
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
    // The same request, sent twice at the same time: the other one was first.
    if ((error as { code?: string }).code !== uniqueViolation) throw error
  }
}

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
async function addressed(
  ctx: Ctx,
  texts: Texts,
  transaction: readonly unknown[],
): Promise<Omit<ToDeviceRow, 'position'>[] | undefined> {
  const local = [...texts.keys()].filter((userId) => ctx.domains.isLocal(serverNameOf(userId)))
  const nids = await ctx.dictionaries.findUsers(local)
  if (nids.size === 0) return []
  const byNid = new Map([...nids].map(([userId, nid]) => [nid, texts.get(userId)!]))
  const devices = await ctx.database.read(devicesToSendTo, [[...byNid.keys()], ...transaction])
  if (devices[0]?.is_repeated === true) return undefined
  const rows: Omit<ToDeviceRow, 'position'>[] = []
  let size = 0
  for (const { user_nid: userNid, device_id: deviceId } of devices) {
    const ofUser = byNid.get(userNid)!
    const content = ofUser.get(deviceId) ?? ofUser.get(everyDevice)
    if (content === undefined) continue
    rows.push({ user_nid: userNid, device_id: deviceId, content })
    size += content.length
  }
  if (rows.length > MAX_TO_DEVICE_MESSAGES || size > MAX_TO_DEVICE_BYTES) {
    throw new MatrixError('M_TOO_LARGE', 'Too many messages in one request')
  }
  return rows
}
