import type { Context } from '../../src/context.ts'
import { decodeBase64 } from '../../src/matrix/base64.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { MAX_KEY_VALIDITY_MS } from '../../src/matrix/limits.ts'
import { verifyJson } from '../../src/matrix/signatures.ts'
import { statement } from '../../src/storage/database.ts'
import type { AllowList } from '../allow-list.ts'
import type { RemoteClient } from '../remote/client.ts'

/** A key of a server. */
export type ServerKey = {
  readonly publicKey: Buffer
  /** Milliseconds until which signatures with it count. */
  readonly validUntil: number
  /** Given up: good for older events, for no request. */
  readonly isOld: boolean
}

/** The signing keys of servers, ours among them. */
export type ServerKeys = {
  /**
   * @param at Milliseconds: when the key must have been valid.
   * @returns undefined for a key that is not known, was not valid then, or cannot be had.
   */
  find(server: ServerName, keyId: string, at: number): Promise<ServerKey | undefined>
  /**
   * What another server publishes, as it signed it: fetched again if it does not last.
   *
   * @param until Milliseconds until which it should be valid.
   * @returns undefined when nothing is known and the server cannot be reached.
   */
  published(server: ServerName, until: number): Promise<JsonObject | undefined>
}

type KeyRow = { key_id: string; public_key: Buffer; valid_until: number; is_old: boolean }

const selectKeys = statement<KeyRow>(
  'keys of a server',
  'select key_id, public_key, valid_until, is_old from server_keys where server_name = $1',
)
const saveKey = statement<never>(
  'save key of a server',
  `insert into server_keys (server_name, key_id, public_key, valid_until, is_old, fetched_at)
   values ($1, $2, $3, $4, $5, $6)
   on conflict (server_name, key_id) do update set public_key = excluded.public_key,
     valid_until = excluded.valid_until, is_old = excluded.is_old, fetched_at = excluded.fetched_at`,
)
const selectAnswer = statement<{ answer: string }>(
  'published keys of a server',
  'select answer from server_key_answers where server_name = $1',
)
const saveAnswer = statement<never>(
  'save published keys of a server',
  `insert into server_key_answers (server_name, answer, valid_until) values ($1, $2, $3)
   on conflict (server_name) do update set answer = excluded.answer, valid_until = excluded.valid_until
   where server_key_answers.valid_until <= excluded.valid_until`,
)

/**
 * Attempts to fetch what a server did not tell, and the milliseconds they are for: more than one, since a server may put
 * a new key in the place of one that was just fetched.
 */
const mostTries = 3
const patience = 60_000
const mostKeys = 50
const maxAnswerBytes = 65_536
const mostServers = 10_000

/** What was told of a server's keys, checked to be signed by them. */
type Told = { readonly answer: JsonObject; readonly keys: ReadonlyMap<string, ServerKey>; readonly isDirect: boolean }

export function createServerKeys(
  ctx: Pick<Context, 'database' | 'caches' | 'clock' | 'domains' | 'config'>,
  client: RemoteClient,
  allowList: AllowList,
): ServerKeys {
  const pinned = pinnedKeys(ctx.config)
  const notaries = ctx.config.federation.notaries as readonly ServerName[]
  const known = new Map<ServerName, Map<string, ServerKey>>()
  const lookUps = ctx.caches.counted('keys of servers', () => known.size)
  const tried = new Map<ServerName, { since: number; times: number }>()
  const fetching = new Map<ServerName, Promise<void>>()

  const remember = (server: ServerName, keys: ReadonlyMap<string, ServerKey>): void => {
    if (known.size >= mostServers) known.clear()
    known.set(server, new Map([...(known.get(server) ?? []), ...keys]))
  }

  const load = async (server: ServerName): Promise<void> => {
    const rows = await ctx.database.read(selectKeys, [server])
    const keys = rows.map((row): [string, ServerKey] => [
      row.key_id,
      { publicKey: row.public_key, validUntil: row.valid_until, isOld: row.is_old },
    ])
    remember(server, new Map(keys))
  }

  /** From the server itself, else from the notaries: what they say must be signed by the server too. */
  const fetchAnswer = async (server: ServerName, now: number): Promise<Told | undefined> => {
    try {
      const answer = await client.send(server, {
        method: 'GET',
        uri: '/_matrix/key/v2/server',
        maxBytes: maxAnswerBytes,
      })
      const keys = parseServerKeys(answer, server, now)
      if (keys) return { answer, keys, isDirect: true }
    } catch {
      // Another one may know.
    }
    for (const notary of notaries) {
      if (notary === server || ctx.domains.isLocal(notary)) continue
      const answer = await askNotary(notary, server, now).catch(() => undefined)
      const keys = answer && parseServerKeys(answer, server, now)
      if (answer && keys) return { answer, keys, isDirect: false }
    }
    return undefined
  }

  const askNotary = async (notary: ServerName, server: ServerName, now: number): Promise<JsonObject | undefined> => {
    const told = await client.send(notary, {
      method: 'POST',
      uri: '/_matrix/key/v2/query',
      body: { server_keys: { [server]: {} } },
      maxBytes: maxAnswerBytes * 2,
    })
    for (const answer of Array.isArray(told.server_keys) ? told.server_keys.slice(0, mostKeys) : []) {
      if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) continue
      if (await isSignedBy(notary, answer as JsonObject, now)) return answer as JsonObject
    }
    return undefined
  }

  const isSignedBy = async (notary: ServerName, answer: JsonObject, now: number): Promise<boolean> => {
    const signatures = (answer.signatures as JsonObject | undefined)?.[notary]
    for (const [keyId] of members(signatures)) {
      const key = await find(notary, keyId, now)
      if (key && !key.isOld && verifyJson(answer, notary, keyId, key.publicKey)) return true
    }
    return false
  }

  const fetchKeys = async (server: ServerName): Promise<void> => {
    const now = ctx.clock.now()
    const before = tried.get(server)
    const isLater = before === undefined || now - before.since >= patience
    const times = isLater ? 0 : before.times
    if (times >= mostTries) return
    if (tried.size >= mostServers) tried.clear()
    tried.set(server, { since: isLater ? now : before.since, times: times + 1 })
    const told = await fetchAnswer(server, now)
    if (!told) return
    if (!known.has(server)) await load(server)
    // A notary adds to what a server said itself, and does not contradict it.
    const keys = [...told.keys].filter(([keyId, { publicKey }]) => {
      const before = known.get(server)?.get(keyId)
      return told.isDirect || !before || before.publicKey.equals(publicKey)
    })
    for (const [keyId, key] of keys) {
      await ctx.database.read(saveKey, [server, keyId, key.publicKey, key.validUntil, key.isOld, now])
    }
    remember(server, new Map(keys))
    if (keys.length < told.keys.size) return
    await ctx.database.read(saveAnswer, [server, JSON.stringify(told.answer), told.answer.valid_until_ts])
  }

  const fetchOnce = (server: ServerName): Promise<void> => {
    let running = fetching.get(server)
    if (!running) {
      running = fetchKeys(server)
        .catch(() => {})
        .finally(() => fetching.delete(server))
      fetching.set(server, running)
    }
    return running
  }

  const find = async (server: ServerName, keyId: string, at: number): Promise<ServerKey | undefined> => {
    if (ctx.domains.isLocal(server)) {
      const own = ctx.domains.keysOf(server).find((key) => key.keyId === keyId)
      if (own) return { publicKey: own.publicKey, validUntil: Number.MAX_SAFE_INTEGER, isOld: false }
      const retired = ctx.domains.retiredKeysOf(server).find((key) => key.keyId === keyId)
      return retired && retired.expiredAt >= at
        ? { publicKey: retired.publicKey, validUntil: retired.expiredAt, isOld: true }
        : undefined
    }
    // Not even another server is asked about one that is not federated with, and nothing it has signed counts.
    if (!allowList.allows(server, 'keys')) return undefined
    if (pinned.has(server)) return validAt(pinned.get(server)!.get(keyId), at)
    if (known.has(server)) lookUps.hits++
    else {
      lookUps.misses++
      await load(server)
    }
    const usable = (): ServerKey | undefined => validAt(known.get(server)?.get(keyId), at)
    if (!usable()) await fetchOnce(server)
    return usable()
  }

  const lastAnswer = async (server: ServerName): Promise<JsonObject | undefined> => {
    const [row] = await ctx.database.read(selectAnswer, [server])
    return row && (JSON.parse(row.answer) as JsonObject)
  }

  return {
    find,
    async published(server, until) {
      // It is not asked, and what is written down here it has not signed.
      if (pinned.has(server)) return undefined
      const kept = await lastAnswer(server)
      if (kept && (kept.valid_until_ts as number) >= until) return kept
      await fetchOnce(server)
      return lastAnswer(server)
    },
  }
}

function validAt(key: ServerKey | undefined, at: number): ServerKey | undefined {
  return key && key.validUntil >= at ? key : undefined
}

/** Those that the operator has written down: nobody is asked about them, and nothing that is said changes them. */
function pinnedKeys({ federation }: Context['config']): ReadonlyMap<ServerName, ReadonlyMap<string, ServerKey>> {
  return new Map(
    federation.pinned_keys.map(({ server_name: server, verify_keys: current, old_verify_keys: old }) => {
      const keys = new Map<string, ServerKey>()
      for (const [keyId, { key, expired_ts: expired }] of Object.entries(old)) {
        keys.set(keyId, { publicKey: decodeBase64(key)!, validUntil: expired, isOld: true })
      }
      for (const [keyId, key] of Object.entries(current)) {
        keys.set(keyId, { publicKey: decodeBase64(key)!, validUntil: Number.MAX_SAFE_INTEGER, isOld: false })
      }
      return [server as ServerName, keys]
    }),
  )
}

/**
 * The keys in what a server publishes, valid for seven days at most. Every key has to have signed the whole.
 *
 * Spec: Server-Server API, "Publishing Keys" (v1.19).
 *
 * @returns undefined for an answer that is not this server's, or not signed by it.
 */
export function parseServerKeys(
  answer: JsonObject,
  server: ServerName,
  now: number,
): ReadonlyMap<string, ServerKey> | undefined {
  const { valid_until_ts: until } = answer
  if (answer.server_name !== server || typeof until !== 'number') return undefined
  const validUntil = Math.min(until, now + MAX_KEY_VALIDITY_MS)
  const keys = new Map<string, ServerKey>()
  for (const [keyId, value] of members(answer.verify_keys)) {
    const publicKey = keyIn(value)
    if (!keyId.startsWith('ed25519:') || publicKey === undefined) continue
    if (!verifyJson(answer, server, keyId, publicKey)) return undefined
    keys.set(keyId, { publicKey, validUntil, isOld: false })
  }
  if (keys.size === 0) return undefined
  for (const [keyId, value] of members(answer.old_verify_keys)) {
    const publicKey = keyIn(value)
    const expired = (value as JsonObject | null)?.expired_ts
    if (keyId.startsWith('ed25519:') && publicKey && typeof expired === 'number' && !keys.has(keyId)) {
      keys.set(keyId, { publicKey, validUntil: expired, isOld: true })
    }
  }
  return keys
}

function members(value: Json | undefined): [string, Json][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value as JsonObject).slice(0, mostKeys) as [string, Json][]
}

function keyIn(value: Json): Buffer | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { key } = value as JsonObject
  const bytes = typeof key === 'string' ? decodeBase64(key) : undefined
  return bytes?.length === 32 ? bytes : undefined
}
