import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Tx } from '../storage/database.ts'
import {
  type CrossSigningKeyRow,
  crossSigningKeys,
  deleteCrossSigningKeys,
  deleteSignaturesOfKeys,
  deviceKeysOf,
  devicesNamed,
  type KeySignatureRow,
  lockAccount,
  saveCrossSigningKey,
  saveKeySignatures,
} from '../storage/keys.ts'
import { type CrossSigningKey, checkCrossSigningKey, masterSignatureOn } from './check-cross-signing-key.ts'
import { announceDeviceListChange, noteDeviceListChange } from './device-list-changes.ts'
import { deviceSignaturesOn } from './device-signatures.ts'

type User = { readonly userId: UserId; readonly userNid: number }

/** The keys of a request, by what they are for. */
export type CrossSigningUpload = {
  readonly master: CrossSigningKey | undefined
  readonly others: readonly CrossSigningKey[]
}

/** @throws MatrixError M_BAD_JSON, M_INVALID_PARAM, M_MISSING_PARAM (no key at all). */
export function checkCrossSigningUpload(
  owner: UserId,
  body: { readonly master_key?: unknown; readonly self_signing_key?: unknown; readonly user_signing_key?: unknown },
): CrossSigningUpload {
  const { master_key: master, self_signing_key: selfSigning, user_signing_key: userSigning } = body
  const others: CrossSigningKey[] = []
  if (selfSigning !== undefined)
    others.push(checkCrossSigningKey('self_signing_key', selfSigning, 'self_signing', owner))
  if (userSigning !== undefined)
    others.push(checkCrossSigningKey('user_signing_key', userSigning, 'user_signing', owner))
  if (master === undefined) {
    if (others.length === 0) throw new MatrixError('M_MISSING_PARAM', 'There is no key in the request')
    return { master: undefined, others }
  }
  return { master: checkCrossSigningKey('master_key', master, 'master', owner), others }
}

/**
 * Publishes cross-signing keys. The first ones need no more proof than the access token, nor do the same again; to
 * replace a key the user has to be authenticated.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/keys/device_signing/upload` (v1.19).
 *
 * @param isAuthenticated Whether the user went through user-interactive authentication for this.
 * @returns false, and nothing is written, when that is needed first.
 * @throws MatrixError M_INVALID_SIGNATURE, M_MISSING_PARAM (no master key), M_FORBIDDEN (a key is called like a device).
 */
export async function uploadCrossSigningKeys(
  ctx: Pick<Context, 'database' | 'writer'>,
  user: User,
  upload: CrossSigningUpload,
  isAuthenticated: boolean,
): Promise<boolean> {
  const devices = await ctx.database.read(deviceKeysOf, [[user.userNid]])
  const contents = new Map(devices.map((row) => [row.device_id, row.content]))
  const isDone = await ctx.database.db.transaction().execute(async (tx) => {
    await lockAccount(tx, user.userNid)
    const current = await crossSigningKeys(tx, user.userNid)
    const masterKey = upload.master?.publicKey ?? current.find((row) => row.usage === 'master')?.public_key
    if (masterKey === undefined) throw new MatrixError('M_MISSING_PARAM', 'There is no master key')
    const signatures = upload.others.map((key) => signatureRow(user, key, masterKey))
    if (upload.master !== undefined) {
      for (const [keyId, signature] of deviceSignaturesOn(upload.master.json, user.userId, contents)) {
        signatures.push({ ...rowOf(user, upload.master), signer_key: keyId, signature })
      }
    }
    const keys = [...(upload.master ? [upload.master] : []), ...upload.others]
    const changed = keys.filter((key) => !isStored(current, key))
    if (changed.length === 0) return true
    const replaces = current.some((row) => row.usage === 'master')
    if (replaces && !isAuthenticated) return false
    await refuseNamesInUse(tx, user, current, changed)
    await replaceKeys(tx, user, current, changed, signatures)
    await noteDeviceListChange(tx, user.userNid)
    return true
  })
  if (isDone) await announceDeviceListChange(ctx, user.userNid)
  return isDone
}

function isStored(current: readonly CrossSigningKeyRow[], key: CrossSigningKey): boolean {
  return current.some((row) => row.usage === key.usage && row.content === key.content)
}

/** Device ids and cross-signing keys share a namespace: "Key and signature security". */
async function refuseNamesInUse(
  tx: Tx,
  user: User,
  current: readonly CrossSigningKeyRow[],
  changed: readonly CrossSigningKey[],
): Promise<void> {
  const names = changed.map((key) => key.publicKey)
  const kept = current.filter((row) => changed.every((key) => key.usage !== row.usage)).map((row) => row.public_key)
  if (new Set([...names, ...kept]).size < names.length + kept.length) {
    throw new MatrixError('M_INVALID_PARAM', 'One public key cannot serve for two uses')
  }
  if ((await devicesNamed(tx, user.userNid, names)).length > 0) {
    throw new MatrixError('M_FORBIDDEN', 'The public key is the id of one of your devices')
  }
}

async function replaceKeys(
  tx: Tx,
  user: User,
  current: readonly CrossSigningKeyRow[],
  changed: readonly CrossSigningKey[],
  signatures: readonly KeySignatureRow[],
): Promise<void> {
  const hasNewMaster = changed.some((key) => key.usage === 'master')
  const given = new Set<string>(signatures.map((row) => row.target_key))
  // Nobody vouches for the other keys once the master key is another, unless they came along.
  const orphans = current.filter((row) => hasNewMaster && row.usage !== 'master' && !given.has(row.public_key))
  const replaced = current.filter((row) => orphans.includes(row) || changed.some((key) => key.usage === row.usage))
  if (orphans.length > 0) {
    await deleteCrossSigningKeys(
      tx,
      user.userNid,
      orphans.map((row) => row.usage),
    )
  }
  // Signatures on a key that is gone, or made with it, must not speak for the new one.
  if (replaced.length > 0) {
    await deleteSignaturesOfKeys(
      tx,
      user.userNid,
      replaced.map((row) => row.public_key),
    )
  }
  for (const key of changed) {
    const { publicKey, usage, content } = key
    await saveCrossSigningKey(tx, { user_nid: user.userNid, usage, public_key: publicKey, content })
  }
  await saveKeySignatures(tx, signatures)
}

function signatureRow(user: User, key: CrossSigningKey, masterKey: string): KeySignatureRow {
  const signature = masterSignatureOn(key, masterKey, user.userId)
  return { ...rowOf(user, key), signer_key: `ed25519:${masterKey}`, signature }
}

function rowOf(user: User, key: CrossSigningKey): Omit<KeySignatureRow, 'signer_key' | 'signature'> {
  return { target_nid: user.userNid, target_key: key.publicKey, signer_nid: user.userNid }
}
