import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import {
  type CrossSigningKeyRow,
  crossSigningKeysOf,
  deviceKeysOf,
  type KeySignatureRow,
  saveKeySignatures,
  type Usage,
} from '../storage/keys.ts'
import { remoteTimeout } from './by-server.ts'
import { isSignedBy, publicKeyIn } from './check-cross-signing-key.ts'
import { announceDeviceListChange, announceOwnSignatures, noteDeviceListChange } from './device-list-changes.ts'
import { type DeviceContents, deviceSignaturesOn } from './device-signatures.ts'
import { signaturesBy, unsignedText } from './key-json.ts'
import { MAX_UPLOADED_SIGNATURES } from './limits.ts'

type Ctx = Pick<Context, 'database' | 'dictionaries' | 'domains' | 'deviceKeys' | 'writer'>
type User = { readonly userId: UserId; readonly userNid: number }

/** Signed objects, by the owner of the key and by the name of the key: a device id or a public key. */
export type SignedKeys = ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>>

/** What was not stored, and why. */
export type SignatureFailures = Map<UserId, Map<string, MatrixError>>

/** What the signatures are checked against: stored keys of the uploader and of those whose keys were signed. */
type Known = {
  readonly user: User
  readonly nids: ReadonlyMap<UserId, number>
  readonly devices: DeviceContents
  key(owner: UserId, usage: Usage): { readonly publicKey: string; readonly content: string } | undefined
}

/**
 * Stores signatures that a user made: by the self-signing key on devices, by devices on the master key, and by the
 * user-signing key on the master keys of others. Each is checked for itself.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/keys/signatures/upload` (v1.19).
 *
 * @returns those that were refused.
 * @throws MatrixError M_INVALID_PARAM for too many.
 */
export async function uploadSignatures(ctx: Ctx, user: User, signed: SignedKeys): Promise<SignatureFailures> {
  let count = 0
  for (const keys of signed.values()) count += keys.size
  if (count > MAX_UPLOADED_SIGNATURES) throw new MatrixError('M_INVALID_PARAM', 'Too many signatures')
  const known = await loadKnown(ctx, user, signed)
  const failures: SignatureFailures = new Map()
  const own: KeySignatureRow[] = []
  const others: KeySignatureRow[] = []
  for (const [owner, keys] of signed) {
    for (const [name, key] of keys) {
      try {
        if (owner === user.userId) own.push(...checkOwnKey(known, name, key))
        else others.push(checkMasterKeyOf(known, owner, name, key))
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
        const ofOwner = failures.get(owner)
        if (ofOwner) ofOwner.set(name, error)
        else failures.set(owner, new Map([[name, error]]))
      }
    }
  }
  await store(ctx, user, own, others)
  return failures
}

async function store(
  ctx: Ctx,
  user: User,
  own: readonly KeySignatureRow[],
  others: readonly KeySignatureRow[],
): Promise<void> {
  if (own.length + others.length === 0) return
  await ctx.database.db.transaction().execute(async (tx) => {
    // Only the user sees signatures on the keys of others, so nobody else is told of those.
    await saveKeySignatures(tx, others)
    if ((await saveKeySignatures(tx, own)) > 0) await noteDeviceListChange(tx, user.userNid)
  })
  await announceDeviceListChange(ctx, user.userNid)
  if (others.length > 0) {
    await announceOwnSignatures(ctx, user.userNid, [...new Set(others.map((row) => row.target_nid))])
  }
}

/** A device of the user, to be signed by the self-signing key, or the master key, to be signed by devices. */
function checkOwnKey(known: Known, name: string, key: JsonObject): KeySignatureRow[] {
  const { user } = known
  const target = { target_nid: user.userNid, target_key: name, signer_nid: user.userNid }
  const master = known.key(user.userId, 'master')
  if (name === master?.publicKey) {
    if (unsignedText(key) !== master.content) throw differs()
    const signatures = deviceSignaturesOn(key, user.userId, known.devices)
    if (signatures.size === 0)
      throw new MatrixError('M_INVALID_SIGNATURE', 'The master key is signed by none of your devices')
    return [...signatures].map(([keyId, signature]) => ({ ...target, signer_key: keyId, signature }))
  }
  const content = known.devices.get(name)
  if (content === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such key')
  const selfSigning = known.key(user.userId, 'self_signing')
  if (selfSigning === undefined) throw new MatrixError('M_NOT_FOUND', 'You have no self-signing key')
  if (unsignedText(key) !== content) throw differs()
  return [{ ...target, ...signatureBy(user, selfSigning.publicKey, key) }]
}

/** Of other users, only the master key can be signed, and only by the user-signing key. */
function checkMasterKeyOf(known: Known, owner: UserId, name: string, key: JsonObject): KeySignatureRow {
  const { user } = known
  const userSigning = known.key(user.userId, 'user_signing')
  if (userSigning === undefined) throw new MatrixError('M_NOT_FOUND', 'You have no user-signing key')
  const master = known.key(owner, 'master')
  const nid = known.nids.get(owner)
  if (master?.publicKey !== name || nid === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such key')
  if (unsignedText(key) !== master.content) throw differs()
  return {
    target_nid: nid,
    target_key: name,
    signer_nid: user.userNid,
    ...signatureBy(user, userSigning.publicKey, key),
  }
}

function signatureBy(user: User, publicKey: string, key: JsonObject): { signer_key: string; signature: string } {
  const keyId = `ed25519:${publicKey}`
  const signature = signaturesBy(key, user.userId).get(keyId)
  if (signature === undefined || !isSignedBy(key, user.userId, keyId, publicKey)) {
    throw new MatrixError('M_INVALID_SIGNATURE', 'The signature is not valid')
  }
  return { signer_key: keyId, signature }
}

function differs(): MatrixError {
  return new MatrixError('M_INVALID_SIGNATURE', 'What was signed is not the key that was uploaded')
}

async function loadKnown(ctx: Ctx, user: User, signed: SignedKeys): Promise<Known> {
  const isLocal = (owner: UserId): boolean => ctx.domains.isLocal(serverNameOf(owner))
  const local = [...signed.keys()].filter(isLocal)
  const nids = new Map([...(await ctx.dictionaries.findUsers(local)), [user.userId, user.userNid] as const])
  const remote = await remoteMasterKeys(
    ctx,
    [...signed.keys()].filter((owner) => !isLocal(owner)),
    serverNameOf(user.userId),
  )
  if (remote.size > 0) {
    for (const [owner, nid] of await ctx.dictionaries.internUsers([...remote.keys()])) nids.set(owner, nid)
  }
  const [devices, rows] = await Promise.all([
    ctx.database.read(deviceKeysOf, [[user.userNid]]),
    ctx.database.read(crossSigningKeysOf, [[...nids.values()]]),
  ])
  const byOwner = new Map<string, CrossSigningKeyRow>(rows.map((row) => [`${row.user_nid} ${row.usage}`, row]))
  return {
    user,
    nids,
    devices: new Map(devices.map((row) => [row.device_id, row.content])),
    key(owner, usage) {
      const elsewhere = remote.get(owner)
      if (elsewhere !== undefined) return usage === 'master' ? elsewhere : undefined
      const row = byOwner.get(`${nids.get(owner)} ${usage}`)
      return row && { publicKey: row.public_key, content: row.content }
    },
  }
}

/** Of users of other servers; those that cannot be had are left out. */
async function remoteMasterKeys(
  ctx: Ctx,
  owners: readonly UserId[],
  asker: ServerName,
): Promise<Map<UserId, { publicKey: string; content: string }>> {
  const found = new Map<UserId, { publicKey: string; content: string }>()
  await Promise.all(
    owners.map(async (owner) => {
      const wanted = new Map([[owner, []]])
      const answer = await ctx.deviceKeys.remote.query(serverNameOf(owner), wanted, remoteTimeout(undefined), asker)
      const master = answer?.masterKeys.get(owner)
      const publicKey = master?.user_id === owner ? publicKeyIn(master) : undefined
      if (publicKey !== undefined) found.set(owner, { publicKey, content: unsignedText(master!) })
    }),
  )
  return found
}
