import type { Context } from '../context.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { Usage } from '../storage/keys.ts'
import { failuresText, splitByServer } from './by-server.ts'
import { publicKeyIn } from './check-cross-signing-key.ts'
import { member, signaturesBy, unsignedText } from './key-json.ts'
import { keyText, type Signatures } from './key-text.ts'
import type { RemoteKeyAnswer } from './ports.ts'
import type { PublishedKeys, SignaturesOnOthers } from './published-keys.ts'

type Ctx = Pick<Context, 'dictionaries' | 'domains' | 'deviceKeys'>
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
 * the owner of the key and by the asker. No statement when the keys are remembered, four at most.
 *
 * @param wanted Which devices of each user; an empty list for all.
 * @param timeout Milliseconds to wait for other servers.
 */
export async function queryKeys(ctx: Ctx, asker: Asker, wanted: Wanted, timeout: number): Promise<string> {
  const { local, remote } = splitByServer(ctx.domains, wanted)
  const parts: Parts = { deviceKeys: [], crossSigning: { master: [], self_signing: [], user_signing: [] } }
  const failures: ServerName[] = []
  const [nids, onOthers] = await Promise.all([
    ctx.dictionaries.findUsers([...wanted.keys()]),
    ctx.deviceKeys.published.onOthers(asker.userNid),
  ])
  await Promise.all([
    addLocalKeys(ctx, asker, local, nids, onOthers, parts),
    ...[...remote].map(async ([server, users]) => {
      const answer = await ctx.deviceKeys.remote.query(server, users, timeout, serverNameOf(asker.userId))
      if (answer === undefined) failures.push(server)
      else addRemoteKeys(asker, users, nids, onOthers, answer, parts)
    }),
  ])
  const { master, self_signing: selfSigning, user_signing: userSigning } = parts.crossSigning
  return `{"device_keys":{${parts.deviceKeys.join(',')}},"failures":${failuresText(failures)},"master_keys":{${master.join(',')}},"self_signing_keys":{${selfSigning.join(',')}},"user_signing_keys":{${userSigning.join(',')}}}`
}

async function addLocalKeys(
  ctx: Ctx,
  asker: Asker,
  wanted: Wanted,
  nids: ReadonlyMap<UserId, number>,
  onOthers: SignaturesOnOthers,
  parts: Parts,
): Promise<void> {
  const users = new Map<number, UserId>()
  for (const userId of wanted.keys()) {
    const nid = nids.get(userId)
    if (nid !== undefined) users.set(nid, userId)
  }
  for (const [nid, keys] of await ctx.deviceKeys.published.of(users)) {
    const userId = users.get(nid)!
    const name = JSON.stringify(userId)
    parts.deviceKeys.push(`${name}:{${devicesText(keys, wanted.get(userId)!)}}`)
    const { master, selfSigning, userSigning } = keys
    if (master !== undefined) {
      const byAsker = onOthers.get(nid)?.get(master.publicKey)
      parts.crossSigning.master.push(`${name}:${master.with(withSigner(master.signatures, asker, byAsker))}`)
    }
    if (selfSigning !== undefined) parts.crossSigning.self_signing.push(`${name}:${selfSigning}`)
    if (userSigning !== undefined && nid === asker.userNid) {
      parts.crossSigning.user_signing.push(`${name}:${userSigning}`)
    }
  }
}

function devicesText(keys: PublishedKeys, only: readonly string[]): string {
  if (only.length === 0) return [...keys.devices.values()].join(',')
  return [...new Set(only)].flatMap((deviceId) => keys.devices.get(deviceId) ?? []).join(',')
}

function addRemoteKeys(
  asker: Asker,
  wanted: Wanted,
  nids: ReadonlyMap<UserId, number>,
  onOthers: SignaturesOnOthers,
  answer: RemoteKeyAnswer,
  parts: Parts,
): void {
  for (const userId of wanted.keys()) {
    const name = JSON.stringify(userId)
    const devices = answer.deviceKeys.get(userId)
    if (devices !== undefined) {
      const texts = [...devices].map(([deviceId, keys]) => `${JSON.stringify(deviceId)}:${remoteText(keys, userId)}`)
      parts.deviceKeys.push(`${name}:{${texts.join(',')}}`)
    }
    const master = answer.masterKeys.get(userId)
    if (master !== undefined) {
      const byAsker = onOthers.get(nids.get(userId) ?? 0)?.get(publicKeyIn(master) ?? '')
      const signatures = withSigner(signaturesOfOwner(master, userId), asker, byAsker)
      parts.crossSigning.master.push(`${name}:${keyText(unsignedText(master)).with(signatures)}`)
    }
    const selfSigning = answer.selfSigningKeys.get(userId)
    if (selfSigning !== undefined) parts.crossSigning.self_signing.push(`${name}:${remoteText(selfSigning, userId)}`)
  }
}

function withSigner(signatures: Signatures, signer: Asker, byKey: ReadonlyMap<string, string> | undefined): Signatures {
  return byKey === undefined ? signatures : new Map([...signatures, [signer.userId, byKey]])
}

function signaturesOfOwner(key: JsonObject, owner: UserId): Signatures {
  return new Map([[owner, signaturesBy(key, owner)]])
}

function remoteText(key: JsonObject, owner: UserId): string {
  const name = member(member(key, 'unsigned'), 'device_display_name')
  return keyText(unsignedText(key), typeof name === 'string' ? name : undefined).with(signaturesOfOwner(key, owner))
}
