import type { Context } from '../../src/context.ts'
import { decodeBase64 } from '../../src/matrix/base64.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { MAX_KEY_VALIDITY_MS } from '../../src/matrix/limits.ts'
import { verifyJson } from '../../src/matrix/signatures.ts'
import { statement } from '../../src/storage/database.ts'
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

/** Milliseconds between two attempts to fetch what a server did not tell. */
const patience = 60_000
const mostKeys = 50
const mostServers = 10_000

export function createServerKeys(
  ctx: Pick<Context, 'database' | 'clock' | 'domains'>,
  client: RemoteClient,
): ServerKeys {
  const known = new Map<ServerName, Map<string, ServerKey>>()
  const triedAt = new Map<ServerName, number>()
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

  const fetchKeys = async (server: ServerName): Promise<void> => {
    const now = ctx.clock.now()
    const last = triedAt.get(server)
    if (last !== undefined && now - last < patience) return
    if (triedAt.size >= mostServers) triedAt.clear()
    triedAt.set(server, now)
    const answer = await client.send(server, { method: 'GET', uri: '/_matrix/key/v2/server', maxBytes: 65_536 })
    const keys = parseServerKeys(answer, server, now)
    for (const [keyId, key] of keys ?? []) {
      await ctx.database.read(saveKey, [server, keyId, key.publicKey, key.validUntil, key.isOld, now])
    }
    if (keys) remember(server, keys)
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

  return {
    async find(server, keyId, at) {
      if (ctx.domains.isLocal(server)) {
        const own = ctx.domains.keysOf(server).find((key) => key.keyId === keyId)
        return own && { publicKey: own.publicKey, validUntil: Number.MAX_SAFE_INTEGER, isOld: false }
      }
      if (!known.has(server)) await load(server)
      const usable = (): ServerKey | undefined => {
        const key = known.get(server)?.get(keyId)
        return key && key.validUntil >= at ? key : undefined
      }
      if (!usable()) await fetchOnce(server)
      return usable()
    },
  }
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
