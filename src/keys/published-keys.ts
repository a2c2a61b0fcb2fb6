import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { upTo } from '../storage/caches.ts'
import {
  crossSigningKeysOf,
  deviceKeysOf,
  type KeySignatureRow,
  ownKeySignaturesOf,
  signaturesOnOthersBy,
} from '../storage/keys.ts'
import { type KeyText, keyText, type Signatures } from './key-text.ts'

/** What a user shows to others, as JSON text ready to be sent, with the signatures the user made. */
export type PublishedKeys = {
  /** `"<device id>":{…}` by device id. */
  readonly devices: ReadonlyMap<string, string>
  /** Signatures of those who ask are added. */
  readonly master: (KeyText & { readonly publicKey: string; readonly signatures: Signatures }) | undefined
  readonly selfSigning: string | undefined
  /** For the user alone. */
  readonly userSigning: string | undefined
}

/** Identity keys of our users, remembered until they change. */
export type PublishedKeyStore = {
  /** Three statements for those that are not remembered, however many. */
  of(userIds: ReadonlyMap<number, UserId>): Promise<ReadonlyMap<number, PublishedKeys>>
  /** Signatures that a user made on the keys of others: by number of the other, then by public key. */
  onOthers(userNid: number): Promise<SignaturesOnOthers>
}

export type SignaturesOnOthers = ReadonlyMap<number, ReadonlyMap<string, ReadonlyMap<string, string>>>

/** Characters of text that are remembered. */
const rememberedMax = 64 * 1024 * 1024
const signersMax = 20_000

type Ctx = Pick<Context, 'database' | 'caches' | 'stream' | 'invalidations'>

/**
 * Every change of what is remembered here is on the stream as a change of a device list, so whoever is told to look again
 * finds it forgotten.
 */
export function createPublishedKeys(ctx: Ctx): PublishedKeyStore {
  // Promises under way are remembered too: one that was forgotten meanwhile is not put back.
  const known = ctx.caches.lru<number, PublishedKeys | Promise<PublishedKeys>>('keys of users', {
    sizeIsBytes: true,
    maxSize: rememberedMax,
    sizeCalculation: (keys) => (keys instanceof Promise ? 200 : sizeOf(keys)),
  })
  const signers = ctx.caches.lru<number, Promise<SignaturesOnOthers>>('signatures on keys', upTo(signersMax))

  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind !== 'deviceList') continue
      // A change for one reader alone is that reader's signature.
      if (fact.readerNid === undefined) known.delete(fact.userNid)
      signers.delete(fact.readerNid ?? fact.userNid)
    }
  })

  const remember = (nid: number, loading: Promise<ReadonlyMap<number, PublishedKeys>>): Promise<PublishedKeys> => {
    const one = loading.then((all) => all.get(nid)!)
    known.set(nid, one)
    one.then(
      (keys) => known.peek(nid) === one && known.set(nid, keys),
      () => known.peek(nid) === one && known.delete(nid),
    )
    return one
  }

  return {
    async of(userIds) {
      const found = new Map<number, PublishedKeys>()
      const waiting: [number, Promise<PublishedKeys>][] = []
      const missing = new Map<number, UserId>()
      for (const [nid, userId] of userIds) {
        const keys = ctx.invalidations.connected ? known.get(nid) : undefined
        if (keys === undefined) missing.set(nid, userId)
        else if (keys instanceof Promise) waiting.push([nid, keys])
        else found.set(nid, keys)
      }
      if (missing.size > 0) {
        const loading = load(ctx, missing)
        for (const nid of missing.keys()) waiting.push([nid, remember(nid, loading)])
      }
      for (const [nid, keys] of waiting) found.set(nid, await keys)
      return found
    },
    onOthers(userNid) {
      if (!ctx.invalidations.connected) return loadOnOthers(ctx, userNid)
      let signatures = signers.get(userNid)
      if (signatures === undefined) {
        const loading = loadOnOthers(ctx, userNid)
        signatures = loading
        signers.set(userNid, loading)
        loading.catch(() => signers.peek(userNid) === loading && signers.delete(userNid))
      }
      return signatures
    },
  }
}

function sizeOf(keys: PublishedKeys): number {
  let size = 500
  for (const text of keys.devices.values()) size += text.length
  return size + (keys.master?.head.length ?? 0) + (keys.selfSigning?.length ?? 0) + (keys.userSigning?.length ?? 0)
}

async function load(ctx: Ctx, userIds: ReadonlyMap<number, UserId>): Promise<Map<number, PublishedKeys>> {
  const nids = [...userIds.keys()]
  const [devices, crossSigning, signatureRows] = await Promise.all([
    ctx.database.read(deviceKeysOf, [nids]),
    ctx.database.read(crossSigningKeysOf, [nids]),
    ctx.database.read(ownKeySignaturesOf, [nids]),
  ])
  const signatures = byTarget(signatureRows, userIds)
  const published = new Map(
    nids.map((nid) => [
      nid,
      {
        devices: new Map<string, string>(),
        master: undefined as PublishedKeys['master'],
        selfSigning: undefined as string | undefined,
        userSigning: undefined as string | undefined,
      },
    ]),
  )
  for (const row of devices) {
    const own = signatures.get(`${row.user_nid} ${row.device_id}`) ?? new Map()
    const text = keyText(row.content, row.display_name ?? undefined)
    published.get(row.user_nid)!.devices.set(row.device_id, `${JSON.stringify(row.device_id)}:${text.with(own)}`)
  }
  for (const row of crossSigning) {
    const own = signatures.get(`${row.user_nid} ${row.public_key}`) ?? new Map()
    const text = keyText(row.content)
    const user = published.get(row.user_nid)!
    if (row.usage === 'master') user.master = { ...text, publicKey: row.public_key, signatures: own }
    else if (row.usage === 'self_signing') user.selfSigning = text.with(own)
    else user.userSigning = text.with(own)
  }
  return published
}

/** Signatures by the owners of the keys, by `<nid> <key>`. */
function byTarget(rows: readonly KeySignatureRow[], userIds: ReadonlyMap<number, UserId>): Map<string, Signatures> {
  const found = new Map<string, Map<UserId, Map<string, string>>>()
  for (const row of rows) {
    const target = `${row.target_nid} ${row.target_key}`
    const signer = userIds.get(row.signer_nid)!
    const byKey = found.get(target)?.get(signer)
    if (byKey) byKey.set(row.signer_key, row.signature)
    else found.set(target, new Map([[signer, new Map([[row.signer_key, row.signature]])]]))
  }
  return found
}

async function loadOnOthers(ctx: Ctx, userNid: number): Promise<SignaturesOnOthers> {
  const found = new Map<number, Map<string, Map<string, string>>>()
  for (const row of await ctx.database.read(signaturesOnOthersBy, [userNid])) {
    let ofUser = found.get(row.target_nid)
    if (!ofUser) found.set(row.target_nid, (ofUser = new Map()))
    const byKey = ofUser.get(row.target_key)
    if (byKey) byKey.set(row.signer_key, row.signature)
    else ofUser.set(row.target_key, new Map([[row.signer_key, row.signature]]))
  }
  return found
}
