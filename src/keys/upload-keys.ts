import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { MAX_ONE_TIME_KEYS } from '../matrix/limits.ts'
import type { Tx } from '../storage/database.ts'
import {
  type CrossSigningKeyRow,
  crossSigningKeys,
  deleteSignaturesOfKeys,
  findDeviceKeys,
  lockAccount,
  lockDevice,
  saveDeviceKeys,
  saveKeySignatures,
} from '../storage/keys.ts'
import {
  countOneTimeKeys,
  deleteKeysToClaim,
  deleteOldClaims,
  findConflictingKey,
  insertOneTimeKeys,
  type OneTimeKey,
  saveFallbackKeys,
} from '../storage/one-time-keys.ts'
import { isSignedBy } from './check-cross-signing-key.ts'
import { type CheckedDeviceKeys, checkDeviceKeys, checkFallbackKeys, checkOneTimeKeys } from './check-upload.ts'
import { countsObject } from './device-keys.ts'
import { announceDeviceListChange, noteDeviceListChange } from './device-list-changes.ts'
import { signaturesBy } from './key-json.ts'
import { CLAIMED_KEYS_REMEMBERED_MS, MAX_KEY_ALGORITHMS } from './limits.ts'

type Device = { readonly userId: UserId; readonly userNid: number; readonly deviceId: string }

/** As they came with the request; `undefined` for what it lacks. */
export type KeyUpload = {
  readonly deviceKeys: unknown
  readonly oneTimeKeys: unknown
  readonly fallbackKeys: unknown
}

/**
 * Publishes keys of a device: all of them or none. The same upload again changes nothing.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/keys/upload` (v1.19).
 *
 * @returns how many one-time keys are left, by algorithm.
 * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM (other owner, key id in use, too many keys), M_INVALID_SIGNATURE,
 *   M_UNKNOWN_TOKEN (the device is gone).
 */
export async function uploadKeys(
  ctx: Pick<Context, 'database' | 'clock' | 'deviceKeys' | 'writer'>,
  device: Device,
  upload: KeyUpload,
): Promise<{ readonly [algorithm: string]: number }> {
  const keys = checkKeyUpload(device, upload)
  const { identity, oneTime, fallback } = keys
  if (identity === undefined && oneTime.length + fallback.length === 0) {
    return (await ctx.deviceKeys.counts(device)).oneTime
  }
  const counts = await ctx.database.db.transaction().execute(async (tx) => {
    // The account before the device, as cross-signing keys and device ids are compared under its lock.
    if (identity !== undefined) await lockAccount(tx, device.userNid)
    if (!(await lockDevice(tx, device.userNid, device.deviceId))) {
      throw new MatrixError('M_UNKNOWN_TOKEN', 'This device was removed')
    }
    return storeKeys(ctx, tx, device, keys)
  })
  ctx.deviceKeys.changed(device)
  if (identity !== undefined) await announceDeviceListChange(ctx, device.userNid)
  return countsObject(counts)
}

/** Keys of a device, checked. */
export type CheckedKeyUpload = {
  readonly identity: CheckedDeviceKeys | undefined
  readonly oneTime: readonly OneTimeKey[]
  readonly fallback: readonly OneTimeKey[]
}

/** @throws MatrixError M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE */
export function checkKeyUpload(
  device: { readonly userId: UserId; readonly deviceId: string },
  { deviceKeys, oneTimeKeys, fallbackKeys }: KeyUpload,
): CheckedKeyUpload {
  return {
    identity: deviceKeys === undefined ? undefined : checkDeviceKeys(device, deviceKeys),
    oneTime: oneTimeKeys === undefined ? [] : checkOneTimeKeys('one_time_keys', oneTimeKeys),
    fallback: fallbackKeys === undefined ? [] : checkFallbackKeys('fallback_keys', fallbackKeys),
  }
}

/** Stores keys of a device that is locked, its account too where identity keys are among them. @throws MatrixError */
export async function storeKeys(
  ctx: Pick<Context, 'clock'>,
  tx: Tx,
  device: Device,
  { identity, oneTime, fallback }: CheckedKeyUpload,
): Promise<Map<string, number>> {
  if (identity !== undefined) await replaceIdentity(tx, device, identity)
  await deleteOldClaims(tx, device.userNid, device.deviceId, ctx.clock.now() - CLAIMED_KEYS_REMEMBERED_MS)
  if (fallback.length > 0) await saveFallbackKeys(tx, device.userNid, device.deviceId, fallback)
  return addOneTimeKeys(tx, device, oneTime)
}

async function replaceIdentity(tx: Tx, device: Device, identity: CheckedDeviceKeys): Promise<void> {
  const { userNid, deviceId } = device
  const current = await findDeviceKeys(tx, userNid, deviceId)
  if (current === identity.content) return
  // "servers MUST not allow devices to have the same IDs as cross-signing keys"
  const crossSigning = await crossSigningKeys(tx, userNid)
  if (crossSigning.some((key) => key.public_key === deviceId)) {
    throw new MatrixError('M_INVALID_PARAM', 'The device id is in use by a cross-signing key')
  }
  if (current !== undefined) {
    await deleteSignaturesOfKeys(tx, userNid, [deviceId])
    await deleteKeysToClaim(tx, userNid, deviceId)
  }
  await saveDeviceKeys(tx, { user_nid: userNid, device_id: deviceId, content: identity.content })
  const signatures = new Map(signatureBySelfSigning(device.userId, identity, crossSigning))
  if (identity.signature !== undefined) signatures.set(identity.signerKey, identity.signature)
  const target = { target_nid: userNid, target_key: deviceId, signer_nid: userNid }
  await saveKeySignatures(
    tx,
    [...signatures].map(([signerKey, signature]) => ({ ...target, signer_key: signerKey, signature })),
  )
  await noteDeviceListChange(tx, userNid)
}

/** A device can come signed by its owner already, as a dehydrated one does. A signature that is wrong is left out. */
function* signatureBySelfSigning(
  userId: UserId,
  { signed }: CheckedDeviceKeys,
  crossSigning: readonly CrossSigningKeyRow[],
): Iterable<[string, string]> {
  const publicKey = crossSigning.find(({ usage }) => usage === 'self_signing')?.public_key
  if (publicKey === undefined) return
  const keyId = `ed25519:${publicKey}`
  const signature = signaturesBy(signed, userId).get(keyId)
  if (signature !== undefined && isSignedBy(signed, userId, keyId, publicKey)) yield [keyId, signature]
}

async function addOneTimeKeys(tx: Tx, device: Device, keys: readonly OneTimeKey[]): Promise<Map<string, number>> {
  const { userNid, deviceId } = device
  if (keys.length > 0) {
    const conflict = await findConflictingKey(tx, userNid, deviceId, keys)
    if (conflict !== undefined) {
      const keyId = `${conflict.algorithm}:${conflict.key_id}`
      throw new MatrixError('M_INVALID_PARAM', `One time key ${keyId} already exists with another value`)
    }
    await insertOneTimeKeys(tx, userNid, deviceId, keys)
  }
  const counts = await countOneTimeKeys(tx, userNid, deviceId)
  const added = new Set(keys.map((key) => key.algorithm))
  for (const [algorithm, count] of counts) {
    if (added.has(algorithm) && count > MAX_ONE_TIME_KEYS) {
      throw new MatrixError('M_INVALID_PARAM', `More than ${MAX_ONE_TIME_KEYS} keys of one algorithm`)
    }
  }
  if (counts.size > MAX_KEY_ALGORITHMS) throw new MatrixError('M_INVALID_PARAM', 'One-time keys of too many algorithms')
  return counts
}
