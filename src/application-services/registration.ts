import { readFileSync } from 'node:fs'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { parse as parseYaml } from 'yaml'
import { ConfigError } from '../config.ts'
import { parseUserId, type ServerName, type UserId } from '../matrix/ids.ts'
import { compileNamespaces, type Namespaces } from './namespaces.ts'

/** A registered application service. */
export type ApplicationService = {
  readonly id: string
  /** Without a slash at its end; undefined: it wants to be told nothing. */
  readonly url: string | undefined
  readonly asToken: string
  readonly hsToken: string
  /** Who it is where it does not say as whom it acts. */
  readonly sender: UserId
  readonly users: Namespaces
  readonly aliases: Namespaces
  readonly rooms: Namespaces
  /** Whether its users are subject to rate limits; the sender never is. */
  readonly isRateLimited: boolean
  readonly protocols: readonly string[]
  /** Typing and receipts, under which names, and messages to devices. */
  readonly ephemeral: { readonly stable: boolean; readonly unstable: boolean }
  /** MSC3202: device lists and counts of keys with transactions. */
  readonly hasDeviceExtensions: boolean
}

const namespaceList = Type.Optional(
  Type.Union([
    Type.Array(Type.Object({ exclusive: Type.Optional(Type.Boolean()), regex: Type.String({ minLength: 1 }) })),
    Type.Null(),
  ]),
)

const registration = Type.Object({
  id: Type.String({ minLength: 1, pattern: '^[^\\u0000]*$' }),
  url: Type.Union([Type.String(), Type.Null()]),
  as_token: Type.String({ minLength: 1 }),
  hs_token: Type.String({ minLength: 1 }),
  sender_localpart: Type.String({ minLength: 1 }),
  namespaces: Type.Object({ users: namespaceList, aliases: namespaceList, rooms: namespaceList }),
  rate_limited: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
  protocols: Type.Optional(Type.Union([Type.Array(Type.String({ minLength: 1 })), Type.Null()])),
  receive_ephemeral: Type.Optional(Type.Boolean()),
  push_ephemeral: Type.Optional(Type.Boolean()),
  'de.sorunome.msc2409.push_ephemeral': Type.Optional(Type.Boolean()),
  'org.matrix.msc3202': Type.Optional(Type.Boolean()),
})

type Registration = Static<typeof registration>

/**
 * Reads registration files, in the format that the specification and Synapse have.
 *
 * Spec: Application Service API, "Registration" (v1.19).
 *
 * @param domain of the services' own users.
 * @throws ConfigError with every problem found; each names the file, what in it, and why.
 */
export function readRegistrations(files: readonly string[], domain: ServerName): readonly ApplicationService[] {
  const problems: string[] = []
  const services: ApplicationService[] = []
  for (const file of files) {
    const found = readRegistration(file, domain, problems)
    if (found) services.push(found)
  }
  for (const key of ['id', 'asToken'] as const) {
    const twice = services.find((one, index) => services.findIndex((other) => other[key] === one[key]) < index)
    const name = key === 'id' ? `the id ${twice?.id}` : `the as_token of ${twice?.id}`
    if (twice) problems.push(`app_service_config_files: ${name} is used twice`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return services
}

function readRegistration(file: string, domain: ServerName, problems: string[]): ApplicationService | undefined {
  const report = (path: string, reason: string): void => {
    problems.push(`app_service_config_files: ${file}: ${path === '' ? '' : `${path}: `}${reason}`)
  }
  let tree: unknown
  try {
    tree = parseYaml(readFileSync(file, 'utf8'))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    report('', code === 'ENOENT' || code === 'EACCES' ? 'cannot be read' : 'is not valid YAML')
    return undefined
  }
  if (!Value.Check(registration, tree)) {
    const error = Value.Errors(registration, tree).First()!
    report(error.path.slice(1).replaceAll('/', '.'), error.message.charAt(0).toLowerCase() + error.message.slice(1))
    return undefined
  }
  return serviceOf(tree, domain, report)
}

function serviceOf(
  tree: Registration,
  domain: ServerName,
  report: (path: string, reason: string) => void,
): ApplicationService | undefined {
  const sender = parseUserId(`@${tree.sender_localpart}:${domain}`)
  if (sender === undefined) report('sender_localpart', 'expected the localpart of a user id')
  const url = tree.url === '' || tree.url === null ? undefined : URL.parse(tree.url)
  if (url === null || (url && !/^https?:$/.test(url.protocol))) report('url', 'expected an HTTP URL, or null')
  const namespacesOf = (kind: 'users' | 'aliases' | 'rooms'): Namespaces | undefined => {
    const texts = (tree.namespaces[kind] ?? []).map(({ exclusive, regex }) => ({
      exclusive: exclusive === true,
      regex,
    }))
    try {
      return compileNamespaces(texts)
    } catch (error) {
      report(`namespaces.${kind}`, (error as Error).message)
      return undefined
    }
  }
  const [users, aliases, rooms] = [namespacesOf('users'), namespacesOf('aliases'), namespacesOf('rooms')]
  if (sender === undefined || url === null || !users || !aliases || !rooms) return undefined
  return {
    id: tree.id,
    url: url === undefined ? undefined : tree.url!.replace(/\/+$/, ''),
    asToken: tree.as_token,
    hsToken: tree.hs_token,
    sender,
    users,
    aliases,
    rooms,
    isRateLimited: tree.rate_limited !== false,
    protocols: tree.protocols ?? [],
    ephemeral: {
      stable: tree.receive_ephemeral === true || tree.push_ephemeral === true,
      unstable: tree['de.sorunome.msc2409.push_ephemeral'] === true,
    },
    hasDeviceExtensions: tree['org.matrix.msc3202'] === true,
  }
}
