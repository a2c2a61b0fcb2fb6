import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError } from './config.ts'
import { parseServerName, type ServerName } from './matrix/ids.ts'
import { formatSigningKeyFile, parseSigningKeyFile, type SigningKey, signingKeyFromSeed } from './matrix/signatures.ts'
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
  const keys = new Map(all.map((name) => [name, loadSigningKeys(keyFileOf(config, name), random)]))
  const hosts = new Map<string, ServerName>()
  const baseUrls = new Map<ServerName, string>()
  for (const domain of config.domains) {
    for (const host of hostsOf(domain)) hosts.set(host, domain.name)
    baseUrls.set(domain.name, (domain.public_baseurl ?? `https://${domain.name}`).replace(/\/+$/, ''))
  }
  function keysOf(name: ServerName): readonly [SigningKey, ...SigningKey[]] {
    const found = keys.get(name)
    if (found === undefined) throw new Error(`No signing key for ${name}: it is not a domain of this deployment`)
    return found
  }
  return {
    default: all[0]!,
    all,
    isLocal: (name) => name !== undefined && keys.has(name),
    keyOf: (name) => keysOf(name)[0],
    keysOf,
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

/**
 * Writes a new signing key, unless the file is there.
 *
 * @returns the key's id, `ed25519:…`.
 * @throws ConfigError when the file exists or cannot be written.
 */
export function createSigningKeyFile(file: string, random: Random): string {
  const version = `a_${random.bytes(4).toString('hex').slice(0, 6)}`
  const key = signingKeyFromSeed(version, random.bytes(32))
  try {
    const descriptor = openSync(file, 'wx', 0o600)
    try {
      writeSync(descriptor, formatSigningKeyFile([key]))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw new ConfigError([`the signing key ${file} cannot be written: ${(error as NodeJS.ErrnoException).code}`])
  }
  return key.keyId
}

function loadSigningKeys(file: string, random: Random): readonly [SigningKey, ...SigningKey[]] {
  if (!exists(file)) {
    const folder = join(file, '..')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
    createSigningKeyFile(file, random)
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new ConfigError([`the signing key ${file} is open to other users: run chmod 600 on it`])
  }
  const [first, ...rest] = readKeys(file)
  if (first === undefined) {
    throw new ConfigError([`the signing key ${file} is malformed: expected lines "ed25519 VERSION BASE64"`])
  }
  return [first, ...rest]
}

function readKeys(file: string): readonly SigningKey[] {
  try {
    return parseSigningKeyFile(readFileSync(file, 'utf8'))
  } catch {
    return []
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
