import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError } from './config.ts'
import { parseServerName, type ServerName } from './matrix/ids.ts'
import type { JsonObject } from './matrix/json.ts'
import { publishedKeys } from './matrix/published-keys.ts'
import { type SigningKey, signingKeyFromSeed } from './matrix/signatures.ts'
import {
  type DomainKeys,
  formatSigningKeyFile,
  parseSigningKeyFile,
  type RetiredKey,
} from './matrix/signing-key-file.ts'
import type { Random } from './random.ts'

/**
 * Which server names are ours, what they sign with and where their clients find them. Nothing else decides what is
 * local.
 */
export type Domains = {
  readonly default: ServerName
  /** In the order of the configuration, the default first. */
  readonly all: readonly ServerName[]
  isLocal(name: string | undefined): boolean
  /** @throws Error when the name is not ours: a bug, as callers ask `isLocal` first. */
  keyOf(name: ServerName): SigningKey
  /** All keys of the domain's file: the one it signs with first, then those whose signatures still count. */
  keysOf(name: ServerName): readonly SigningKey[]
  /** Those that signed for the domain once. */
  retiredKeysOf(name: ServerName): readonly RetiredKey[]
  /** What the domain tells everybody of its keys. @param now Milliseconds since the epoch. */
  publishedKeysOf(name: ServerName, now: number): JsonObject
  /** What the domain recommends events by; undefined where it is no policy server. */
  policyKeyOf(name: ServerName): SigningKey | undefined
  /**
   * Reads the files of the keys again.
   *
   * @throws ConfigError about one of them: then all stay as they were.
   */
  rereadKeys(): void
  /** The domain a `Host` header asks for: a server name or one of its configured hosts, else the default. */
  ofHost(host: string | undefined): ServerName
  /** Where clients reach the domain, without a slash at its end. */
  baseUrlOf(name: ServerName): string
}

/**
 * Builds the set of domains. The key of each domain is in `data_dir/keys`, and is made there when it is missing; several
 * processes of one deployment must share that folder's content.
 *
 * @throws ConfigError when a key file is malformed or readable by others.
 */
export function openDomains(config: Config, random: Random): Domains {
  const all = config.server_names.map(checkedServerName)
  const readAll = () => new Map(all.map((name) => [name, loadSigningKeys(keyFileOf(config, name), random)]))
  const readPolicyKeys = () =>
    new Map(
      (config.policy_server.enabled ? all : []).map((name) => [
        name,
        loadSigningKeys(policyKeyFileOf(config, name), random, policyKeyVersion).signing[0],
      ]),
    )
  let keys = readAll()
  let policyKeys = readPolicyKeys()
  const hosts = new Map<string, ServerName>()
  const baseUrls = new Map<ServerName, string>()
  for (const domain of config.domains) {
    for (const host of hostsOf(domain)) hosts.set(host, domain.name)
    baseUrls.set(domain.name, (domain.public_baseurl ?? `https://${domain.name}`).replace(/\/+$/, ''))
  }
  function domainKeysOf(name: ServerName): DomainKeys {
    const found = keys.get(name)
    if (found === undefined) throw new Error(`No signing key for ${name}: it is not a domain of this deployment`)
    return found
  }
  return {
    default: all[0]!,
    all,
    isLocal: (name) => name !== undefined && keys.has(name),
    keyOf: (name) => domainKeysOf(name).signing[0],
    keysOf: (name) => domainKeysOf(name).signing,
    retiredKeysOf: (name) => domainKeysOf(name).retired,
    publishedKeysOf(name, now) {
      const { signing, retired } = domainKeysOf(name)
      return publishedKeys(name, signing, now, retired)
    },
    policyKeyOf: (name) => policyKeys.get(name),
    rereadKeys() {
      const [next, nextPolicy] = [readAll(), readPolicyKeys()]
      keys = next
      policyKeys = nextPolicy
    },
    ofHost(host) {
      if (host === undefined) return all[0]!
      const exact = hosts.get(host)
      if (exact !== undefined) return exact
      const lower = host.toLowerCase()
      return hosts.get(lower) ?? hosts.get(withoutPort(lower)) ?? all[0]!
    },
    baseUrlOf: (name) => baseUrls.get(name) ?? `https://${name}`,
  }
}

/** The file that holds the signing key of a domain. */
export function keyFileOf(config: Pick<Config, 'data_dir'>, name: ServerName): string {
  return join(config.data_dir, 'keys', `${name}.key`)
}

function policyKeyFileOf(config: Pick<Config, 'data_dir'>, name: ServerName): string {
  return join(config.data_dir, 'keys', `${name}.policy.key`)
}

/** The part of `ed25519:policy_server` that is the key's own. */
const policyKeyVersion = 'policy_server'

/**
 * Writes a new signing key, unless the file is there.
 *
 * @returns the key's id, `ed25519:…`.
 * @throws ConfigError when the file exists or cannot be written.
 */
export function createSigningKeyFile(file: string, random: Random, version?: string): string {
  const key = newSigningKey(random, version)
  writeKeys(file, { signing: [key], retired: [] })
  return key.keyId
}

export function newSigningKey(random: Random, version?: string): SigningKey {
  return signingKeyFromSeed(version ?? `a_${random.bytes(4).toString('hex').slice(0, 6)}`, random.bytes(32))
}

/**
 * Changes the keys in a file: afterwards there are the new ones or, where that fails, the old ones.
 *
 * @throws ConfigError when the file has none, or cannot be written.
 */
export function changeSigningKeyFile(file: string, change: (keys: DomainKeys) => DomainKeys): DomainKeys {
  const changed = change(readKeys(file))
  const next = `${file}.new`
  writeKeys(next, changed)
  renameSync(next, file)
  return changed
}

function writeKeys(file: string, keys: DomainKeys): void {
  try {
    const descriptor = openSync(file, 'wx', 0o600)
    try {
      writeSync(descriptor, formatSigningKeyFile(keys))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw new ConfigError([`the signing key ${file} cannot be written: ${(error as NodeJS.ErrnoException).code}`])
  }
}

function loadSigningKeys(file: string, random: Random, version?: string): DomainKeys {
  if (!exists(file)) {
    const folder = join(file, '..')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    createSigningKeyFile(file, random, version)
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new ConfigError([`the signing key ${file} is open to other users: run chmod 600 on it`])
  }
  return readKeys(file)
}

function readKeys(file: string): DomainKeys {
  if (!exists(file)) throw new ConfigError([`there is no signing key ${file}: the first start makes it`])
  try {
    return parseSigningKeyFile(readFileSync(file, 'utf8'))
  } catch {
    throw new ConfigError([`the signing key ${file} is malformed: expected lines "ed25519 VERSION BASE64"`])
  }
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined
}

function hostsOf(domain: Config['domains'][number]): string[] {
  const hosts = [domain.name, ...domain.hosts]
  if (domain.public_baseurl !== undefined) {
    const url = new URL(domain.public_baseurl)
    hosts.push(url.host)
    if (url.port === '') hosts.push(url.hostname)
  }
  return hosts.map((host) => host.toLowerCase())
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '')
}

function checkedServerName(name: string): ServerName {
  const parsed = parseServerName(name)
  if (parsed === undefined) throw new ConfigError([`server_names: expected a Matrix server name, not "${name}"`])
  return parsed
}
