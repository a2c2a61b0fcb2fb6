import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { parse as parseYaml } from 'yaml'
import { type Config, configSchema } from './config-schema.ts'
import { parseServerName } from './matrix/ids.ts'

export type { Config, DomainConfig, LogLevel, RateLimitKind } from './config-schema.ts'

export type Environment = { readonly [name: string]: string | undefined }

/** The configuration cannot be used. Each problem names a key and says what was expected there. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.problems = problems
  }
}

export type Leaf = { readonly path: readonly string[]; readonly schema: TSchema }

type Tree = { [key: string]: unknown }

/** Short names, beside the generic ones that follow from a key's path. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['CHAPPE_REGISTRATION', 'registration.mode'],
  ['CHAPPE_RATE_LIMITS', 'rate_limits.enabled'],
  ['CHAPPE_TLS_CERT_FILE', 'federation.tls_cert_file'],
  ['CHAPPE_TLS_KEY_FILE', 'federation.tls_key_file'],
])

/** Texts people copy out of documentation and forget to change. */
const placeholders = new Set(['changeme', 'change-me', 'change_me', 'password', 'sharedsecret', 'shared_secret'])

/**
 * Reads the configuration: the file over the defaults, the environment over the file.
 *
 * @throws ConfigError with every problem found, never only the first.
 */
export function loadConfig(options: { file?: string; env: Environment }): Config {
  const tree: Tree = options.file === undefined ? {} : readConfigFile(options.file)
  const problems: string[] = []
  applyEnvironment(tree, options.env, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  return checkConfig(tree)
}

/**
 * Fills in the defaults and checks the whole.
 *
 * @throws ConfigError
 */
export function checkConfig(tree: unknown): Config {
  const filled = Value.Default(configSchema, Value.Clone(tree))
  const problems = schemaProblems(filled)
  if (problems.length > 0) throw new ConfigError(problems)
  const config = filled as Config
  problems.push(...semanticProblems(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return withDomains(config)
}

/** Every key that holds a value, with its schema: what a sample file or the environment can set. */
export function configLeaves(schema: TSchema = configSchema, path: readonly string[] = []): Leaf[] {
  if (schema.type !== 'object') return [{ path, schema }]
  return Object.entries(schema.properties as Record<string, TSchema>).flatMap(([key, child]) =>
    configLeaves(child, [...path, key]),
  )
}

/** The environment variable of a key, `rate_limits.message.per_second` → `CHAPPE_RATE_LIMITS_MESSAGE_PER_SECOND`. */
export function environmentNameOf(path: readonly string[]): string {
  return `CHAPPE_${path.join('_').toUpperCase()}`
}

function readConfigFile(file: string): Tree {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new ConfigError([`the configuration file ${file} cannot be read`])
  }
  let tree: unknown
  try {
    tree = parseYaml(text)
  } catch (error) {
    throw new ConfigError([`${file} is not valid YAML: ${firstLine(error)}`])
  }
  if (tree === null || tree === undefined) return {}
  if (typeof tree !== 'object' || Array.isArray(tree)) throw new ConfigError([`${file} must hold a mapping of keys`])
  return withoutEmpty(tree as Tree)
}

/** A key whose value is left out, such as a section in which everything is a comment, is as good as not there. */
function withoutEmpty(tree: Tree): Tree {
  const filled = Object.entries(tree).filter(([, value]) => value !== null)
  return Object.fromEntries(
    filled.map(([key, value]) => [
      key,
      typeof value === 'object' && !Array.isArray(value) ? withoutEmpty(value as Tree) : value,
    ]),
  )
}

function applyEnvironment(tree: Tree, env: Environment, problems: string[]): void {
  const leaves = configLeaves()
  const byPath = new Map(leaves.map((leaf) => [leaf.path.join('.'), leaf]))
  const variables: [string, Leaf][] = [
    ...[...aliases].map(([name, path]): [string, Leaf] => [name, byPath.get(path)!]),
    ...leaves.map((leaf): [string, Leaf] => [environmentNameOf(leaf.path), leaf]),
  ]
  for (const [name, leaf] of variables) applyVariable(tree, leaf, name, env, problems)
  const known = new Set(variables.flatMap(([name, leaf]) => (isSecret(leaf) ? [name, `${name}_FILE`] : [name])))
  for (const name of Object.keys(env)) {
    if (name.startsWith('CHAPPE_') && !known.has(name))
      problems.push(`${name}: is not a variable of this configuration`)
  }
}

function isSecret({ schema }: Leaf): boolean {
  return schema.secret === true
}

function applyVariable(tree: Tree, leaf: Leaf, name: string, env: Environment, problems: string[]): void {
  const fileName = isSecret(leaf) ? env[`${name}_FILE`] : undefined
  const direct = env[name]
  if (fileName !== undefined && direct !== undefined) {
    problems.push(`${name} and ${name}_FILE are both set: set one of them`)
    return
  }
  const text = fileName === undefined ? direct : readSecretFile(name, fileName, problems)
  if (text === undefined) return
  setPath(tree, leaf.path, fromText(text, leaf.schema))
}

function readSecretFile(name: string, file: string, problems: string[]): string | undefined {
  try {
    if ((statSync(file).mode & 0o004) !== 0) {
      problems.push(`the file ${file} named by ${name}_FILE can be read by every user: take that right away`)
      return undefined
    }
    return readFileSync(file, 'utf8').trim()
  } catch {
    problems.push(`the file ${file} named by ${name}_FILE cannot be read`)
    return undefined
  }
}

/** A text that does not fit its type stays a text, so that the schema check reports it with its path. */
function fromText(text: string, schema: TSchema): unknown {
  switch (schema.type) {
    case 'integer':
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
    case 'boolean':
      if (/^(on|true|yes|1)$/i.test(text)) return true
      return /^(off|false|no|0)$/i.test(text) ? false : text
    case 'array':
      return schema.items.type === 'string' ? commaList(text) : yamlOrText(text)
    default:
      return text
  }
}

function commaList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function yamlOrText(text: string): unknown {
  try {
    return parseYaml(text)
  } catch {
    return text
  }
}

function setPath(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree
  for (const key of path.slice(0, -1)) {
    const child = node[key]
    if (typeof child === 'object' && child !== null && !Array.isArray(child)) node = child as Tree
    else node = node[key] = {}
  }
  node[path.at(-1)!] = value
}

function schemaProblems(tree: unknown): string[] {
  const seen = new Map<string, string>()
  for (const error of Value.Errors(configSchema, tree)) {
    const path = error.path.slice(1).replaceAll('/', '.')
    if (!seen.has(path)) seen.set(path, `${path || 'the configuration'}: ${expectation(error.schema, error.message)}`)
  }
  return [...seen.values()]
}

function expectation(schema: TSchema, message: string): string {
  if (message === 'Unexpected property') return 'is not a key of this configuration'
  if (Array.isArray(schema.anyOf)) {
    return `expected one of ${schema.anyOf.map((choice: TSchema) => String(choice.const)).join(', ')}`
  }
  return message.charAt(0).toLowerCase() + message.slice(1)
}

/** What a schema cannot say. */
function semanticProblems(config: Config): string[] {
  const problems: string[] = []
  if (config.server_names.length === 0) problems.push('server_names: expected at least one server name')
  const named: [string, string][] = [
    ...config.server_names.map((name, index): [string, string] => [`server_names.${index}`, name]),
    ...config.domains.map((domain, index): [string, string] => [`domains.${index}.name`, domain.name]),
    ...config.federation.pinned_keys.map((pinned, index): [string, string] => [
      `federation.pinned_keys.${index}.server_name`,
      pinned.server_name,
    ]),
  ]
  for (const [path, name] of named) {
    if (parseServerName(name) === undefined) problems.push(`${path}: expected a Matrix server name, not "${name}"`)
  }
  for (const list of [config.server_names, config.domains.map((domain) => domain.name)]) {
    const twice = list.find((name, index) => list.indexOf(name) !== index)
    if (twice !== undefined) problems.push(`server_names: "${twice}" is given twice`)
  }
  const { port, tls_cert_file: cert, tls_key_file: key } = config.federation
  if ((cert === undefined) !== (key === undefined)) {
    problems.push('federation.tls_cert_file: expected together with federation.tls_key_file')
  } else if (cert !== undefined && port === undefined) {
    problems.push('federation.port: expected one beside federation.tls_cert_file')
  }
  for (const part of ['federation', 'push'] as const) {
    for (const network of config[part].allow_addresses) {
      if (!isNetwork(network)) problems.push(`${part}.allow_addresses: expected networks, not "${network}"`)
    }
  }
  problems.push(...retentionProblems(config.retention))
  const secret = config.registration.shared_secret
  if (secret !== undefined && placeholders.has(secret.toLowerCase())) {
    problems.push('registration.shared_secret: expected a secret of your own, not a placeholder')
  }
  return problems
}

/** Of two ends the lower one is not above the other, and the default keeps the limits. Spec: MSC1763. */
function retentionProblems({ default_policy: policy, limits }: Config['retention']): string[] {
  const problems: string[] = []
  const ordered = (path: string, low: number | undefined, high: number | undefined): void => {
    if (low !== undefined && high !== undefined && low > high)
      problems.push(`retention.${path}: expected no more than ${high}`)
  }
  ordered('default_policy.min_lifetime_seconds', policy.min_lifetime_seconds, policy.max_lifetime_seconds)
  for (const name of ['min_lifetime', 'max_lifetime'] as const) {
    const [limit, value] = [limits[name], policy[`${name}_seconds`]]
    ordered(`limits.${name}.min_seconds`, limit.min_seconds, limit.max_seconds)
    ordered(`default_policy.${name}_seconds`, value, limit.max_seconds)
    ordered(`limits.${name}.min_seconds`, limit.min_seconds, value)
  }
  return problems
}

function isNetwork(text: string): boolean {
  const [address, prefix, ...rest] = text.split('/')
  const family = isIP(address!)
  if (family === 0 || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

/** `server_names` and `domains` name the same set afterwards, in the same order. */
function withDomains(config: Config): Config {
  const names = [...new Set([...config.server_names, ...config.domains.map((domain) => domain.name)])]
  const byName = new Map(config.domains.map((domain) => [domain.name, domain]))
  return { ...config, server_names: names, domains: names.map((name) => byName.get(name) ?? { name, hosts: [] }) }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!
}
