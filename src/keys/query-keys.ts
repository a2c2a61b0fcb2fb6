import type { Context } from '../context.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { crossSigningKeysOf, deviceKeysOf, type KeySignatureRow, keySignaturesOn, type Usage } from '../storage/keys.ts'
import { failuresText, splitByServer } from './by-server.ts'
import { member, signaturesBy, unsignedText } from './key-json.ts'
import type { RemoteKeyAnswer } from './ports.ts'

type Asker = { readonly userId: UserId; readonly userNid: number }
type Wanted = ReadonlyMap<UserId, readonly string[]>

/** Pieces of JSON text, each a member of the object it belongs to. */
type Parts = {
  readonly deviceKeys: string[]
  readonly crossSigning: { readonly [usage in Usage]: string[] }
}

/**
 * The identity keys of users with the signatures that the asker may see, as the JSON text of the answer.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/keys/query` and "Key and signature security" (v1.19): signatures by
 * the owner of the key and by the asker. Three statements whatever the number of users.
 *
 * @param wanted Which devices of each user; an empty list for all.
 * @param timeout Milliseconds to wait for other servers.
 */
export async function queryKeys(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'domains' | 'deviceKeys'>,
  asker: Asker,
  wanted: Wanted,
  timeout: number,
): Promise<string> {
  const { local, remote } = splitByServer(ctx.domains, wanted)
  const parts: Parts = { deviceKeys: [], crossSigning: { master: [], self_signing: [], user_signing: [] } }
  const failures: ServerName[] = []
  await Promise.all([
    addLocalKeys(ctx, asker, local, parts),
    ...[...remote].map(async ([server, users]) => {
      const answer = await ctx.deviceKeys.remote.query(server, users, timeout)
      if (answer === undefined) failures.push(server)
      else await addRemoteKeys(ctx, asker, users, answer, parts)
    }),
  ])
  const { master, self_signing: selfSigning, user_signing: userSigning } = parts.crossSigning
  return `{"device_keys":{${parts.deviceKeys.join(',')}},"failures":${failuresText(failures)},"master_keys":{${master.join(',')}},"self_signing_keys":{${selfSigning.join(',')}},"user_signing_keys":{${userSigning.join(',')}}}`
}

async function addLocalKeys(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  asker: Asker,
  wanted: Wanted,
  parts: Parts,
): Promise<void> {
  if (wanted.size === 0) return
  const nids = await ctx.dictionaries.findUsers([...wanted.keys()])
  const list = [...nids.values()]
  const [devices, crossSigning, signatureRows] = await Promise.all([
    ctx.database.read(deviceKeysOf, [list]),
    ctx.database.read(crossSigningKeysOf, [list]),
    ctx.database.read(keySignaturesOn, [list, asker.userNid]),
  ])
  const userIds = new Map<number, UserId>([[asker.userNid, asker.userId]])
  for (const [userId, nid] of nids) userIds.set(nid, userId)
  const signatures = signaturesByKey(signatureRows, userIds)
  const devicesOfUser = new Map<number, string[]>(list.map((nid) => [nid, []]))
  for (const row of devices) {
    const only = wanted.get(userIds.get(row.user_nid)!)!
    if (only.length > 0 && !only.includes(row.device_id)) continue
    const text = keyText(row.content, signatures.get(`${row.user_nid} ${row.device_id}`), row.display_name ?? undefined)
    devicesOfUser.get(row.user_nid)!.push(`${JSON.stringify(row.device_id)}:${text}`)
  }
  for (const [nid, texts] of devicesOfUser) {
    parts.deviceKeys.push(`${JSON.stringify(userIds.get(nid))}:{${texts.join(',')}}`)
  }
  for (const row of crossSigning) {
    if (row.usage === 'user_signing' && row.user_nid !== asker.userNid) continue
    const text = keyText(row.content, signatures.get(`${row.user_nid} ${row.public_key}`))
    parts.crossSigning[row.usage].push(`${JSON.stringify(userIds.get(row.user_nid))}:${text}`)
  }
}

async function addRemoteKeys(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  asker: Asker,
  wanted: Wanted,
  answer: RemoteKeyAnswer,
  parts: Parts,
): Promise<void> {
  const nids = await ctx.dictionaries.findUsers([...wanted.keys()])
  const rows = nids.size === 0 ? [] : await ctx.database.read(keySignaturesOn, [[...nids.values()], asker.userNid])
  const ours = rows.filter((row) => row.signer_nid === asker.userNid)
  const signatures = signaturesByKey(ours, new Map([[asker.userNid, asker.userId]]))
  for (const userId of wanted.keys()) {
    const devices = [...(answer.deviceKeys.get(userId) ?? [])].map(
      ([deviceId, keys]) => `${JSON.stringify(deviceId)}:${remoteKeyText(keys, userId, new Map())}`,
    )
    if (answer.deviceKeys.has(userId)) parts.deviceKeys.push(`${JSON.stringify(userId)}:{${devices.join(',')}}`)
    const master = answer.masterKeys.get(userId)
    if (master !== undefined) {
      const publicKey = Object.values((member(master, 'keys') ?? {}) as JsonObject)[0]
      const added = signatures.get(`${nids.get(userId)} ${publicKey}`) ?? new Map()
      parts.crossSigning.master.push(`${JSON.stringify(userId)}:${remoteKeyText(master, userId, added)}`)
    }
    const selfSigning = answer.selfSigningKeys.get(userId)
    if (selfSigning !== undefined) {
      parts.crossSigning.self_signing.push(`${JSON.stringify(userId)}:${remoteKeyText(selfSigning, userId, new Map())}`)
    }
  }
}

/** Signatures on one key: by signer, then by the signer's key. */
type Signatures = Map<UserId, Map<string, string>>

function signaturesByKey(
  rows: readonly KeySignatureRow[],
  userIds: ReadonlyMap<number, UserId>,
): Map<string, Signatures> {
  const found = new Map<string, Signatures>()
  for (const row of rows) {
    const target = `${row.target_nid} ${row.target_key}`
    let signatures = found.get(target)
    if (!signatures) found.set(target, (signatures = new Map()))
    const signer = userIds.get(row.signer_nid)!
    const bySigner = signatures.get(signer)
    if (bySigner) bySigner.set(row.signer_key, row.signature)
    else signatures.set(signer, new Map([[row.signer_key, row.signature]]))
  }
  return found
}

function remoteKeyText(key: JsonObject, owner: UserId, added: Signatures): string {
  const signatures: Signatures = new Map([[owner, signaturesBy(key, owner)], ...added])
  const name = member(member(key, 'unsigned'), 'device_display_name')
  return keyText(unsignedText(key), signatures, typeof name === 'string' ? name : undefined)
}

/** @param content The text of an object that has members, without `signatures` and `unsigned`. */
function keyText(content: string, signatures: Signatures | undefined, displayName?: string): string {
  let text = `${content.slice(0, -1)},"signatures":{`
  let comma = ''
  for (const [signer, byKey] of signatures ?? []) {
    const pairs = [...byKey].map(([keyId, signature]) => `${JSON.stringify(keyId)}:${JSON.stringify(signature)}`)
    text += `${comma}${JSON.stringify(signer)}:{${pairs.join(',')}}`
    comma = ','
  }
  const unsigned = displayName === undefined ? '' : `,"unsigned":{"device_display_name":${JSON.stringify(displayName)}}`
  return `${text}}${unsigned}}`
}
