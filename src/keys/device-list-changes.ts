import type { Context } from '../context.ts'
import type { Tx } from '../storage/database.ts'
import {
  deleteLeftovers,
  deleteSignaturesOfKeys,
  deleteUnannounced,
  deviceIdsWithKeys,
  insertUnannounced,
  lastUnannounced,
  usersUnannounced,
} from '../storage/keys.ts'
import type { Fact } from '../storage/stream.ts'
import { insertDeviceListChanges } from '../storage/user-data.ts'

export type Announcer = Pick<Context, 'database' | 'writer'>

/**
 * Notes, in the transaction that changes a user's devices, that the change has to be announced. Whoever commits it calls
 * `announceDeviceListChange`; if the process dies in between, the next one does.
 */
export async function noteDeviceListChange(tx: Tx, userNid: number): Promise<void> {
  await insertUnannounced(tx, userNid)
}

/**
 * Tells the user, and everybody who shares a room with them, that their devices or keys changed, if something is noted.
 *
 * Spec: Client-Server API, "Tracking the device list for a user" (v1.19).
 */
export async function announceDeviceListChange(ctx: Announcer, userNid: number): Promise<void> {
  const [noted] = await ctx.database.read(lastUnannounced, [userNid])
  if (noted === undefined || noted.change === null) return
  await ctx.writer.write({
    positions: 1,
    write(batch, position) {
      batch.add(insertDeviceListChanges, { position, user_nid: userNid, reader_nid: null })
      batch.fact({ kind: 'deviceList', position, userNid } satisfies Fact)
    },
  })
  await ctx.database.read(deleteUnannounced, [userNid, noted.change])
}

/**
 * Tells a user that they see new signatures, their own, on the keys of others: nobody else sees those.
 *
 * Spec: Client-Server API, "Key and signature security" (v1.19).
 */
export async function announceOwnSignatures(
  ctx: Pick<Announcer, 'writer'>,
  readerNid: number,
  owners: readonly number[],
): Promise<void> {
  await ctx.writer.write({
    positions: owners.length,
    write(batch, first) {
      owners.forEach((userNid, index) => {
        const position = first + index
        batch.add(insertDeviceListChanges, { position, user_nid: userNid, reader_nid: readerNid })
        batch.fact({ kind: 'deviceList', position, userNid, readerNid } satisfies Fact)
      })
    },
  })
}

/** Announces what a process that died had committed but not told. */
export async function announceLeftChanges(ctx: Announcer): Promise<void> {
  for (const { user_nid: userNid } of await ctx.database.read(usersUnannounced, [])) {
    await announceDeviceListChange(ctx, userNid)
  }
}

/**
 * Forgets what belongs to devices that are being removed: messages to them, signatures on and by their keys. Their keys go
 * with the rows of the devices, so call it before those are deleted, and `announceDeviceListChange` after the commit.
 */
export async function deleteKeysOfDevices(tx: Tx, userNid: number, deviceIds: readonly string[]): Promise<void> {
  if (deviceIds.length === 0) return
  await deleteLeftovers(tx, userNid, deviceIds)
  const withKeys = await deviceIdsWithKeys(tx, userNid, deviceIds)
  if (withKeys.length === 0) return
  await deleteSignaturesOfKeys(tx, userNid, withKeys)
  await noteDeviceListChange(tx, userNid)
}

/** After a device got another name. */
export async function announceDeviceName(ctx: Announcer, userNid: number): Promise<void> {
  await ctx.database.db.transaction().execute((tx) => noteDeviceListChange(tx, userNid))
  await announceDeviceListChange(ctx, userNid)
}
