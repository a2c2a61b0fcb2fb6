import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { parseRoomAlias, parseUserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { ApplicationService } from './registration.ts'

type Engine = Pick<Context, 'applicationServices' | 'clock' | 'log'>

/** Milliseconds: what a network is does not change often. */
const rememberedFor = 300_000

type Remembered = { readonly protocol: JsonObject | undefined; readonly readAt: number }

const protocols = new WeakMap<object, LRUCache<string, Remembered>>()

/**
 * The protocols of all services, each with the instances of those that offer it.
 *
 * Spec: Client-Server API, "Third-party networks" (v1.19).
 */
export async function protocolsOf(ctx: Engine): Promise<{ [name: string]: JsonObject }> {
  const names = new Set(ctx.applicationServices.all.flatMap((service) => service.protocols))
  const found: { [name: string]: JsonObject } = Object.create(null)
  await Promise.all(
    [...names].map(async (name) => {
      const protocol = await protocolOf(ctx, name)
      if (protocol) found[name] = protocol
    }),
  )
  return found
}

/** @returns undefined for a protocol that nobody offers now. */
export async function protocolOf(ctx: Engine, name: string): Promise<JsonObject | undefined> {
  const services = ctx.applicationServices.all.filter((service) => service.protocols.includes(name))
  const answers = await Promise.all(services.map((service) => protocolOfService(ctx, service, name)))
  const known = answers.filter((answer) => answer !== undefined)
  const [first] = known
  return first && { ...first, instances: known.flatMap((protocol) => instancesOf(protocol)) }
}

async function protocolOfService(
  ctx: Engine,
  service: ApplicationService,
  name: string,
): Promise<JsonObject | undefined> {
  let remembered = protocols.get(service)
  if (!remembered) protocols.set(service, (remembered = new LRUCache<string, Remembered>({ max: 1000 })))
  const known = remembered.get(name)
  const now = ctx.clock.monotonic()
  if (known && now - known.readAt < rememberedFor) return known.protocol
  const json = await ask(ctx, service, `protocol/${encodeURIComponent(name)}`, new URLSearchParams())
  const protocol = isObject(json) && isProtocol(json) ? withInstanceIds(service, json) : undefined
  if (protocol) remembered.set(name, { protocol, readAt: now })
  return protocol
}

function isProtocol(json: JsonObject): boolean {
  return (
    Array.isArray(json.user_fields) &&
    Array.isArray(json.location_fields) &&
    typeof json.icon === 'string' &&
    isObject(json.field_types) &&
    Array.isArray(json.instances)
  )
}

/** Clients name an instance by this when they look for its rooms. */
function withInstanceIds(service: ApplicationService, protocol: JsonObject): JsonObject {
  const instances = instancesOf(protocol).flatMap((instance) =>
    typeof instance.network_id === 'string'
      ? [{ ...instance, instance_id: `${service.id}|${instance.network_id}` }]
      : [],
  )
  return { ...protocol, instances }
}

function instancesOf({ instances }: JsonObject): JsonObject[] {
  return Array.isArray(instances) ? (instances as readonly Json[]).filter(isObject) : []
}

/** Locations or users of a protocol, by the fields a client gives. */
export async function searchProtocol(
  ctx: Engine,
  kind: 'location' | 'user',
  name: string,
  fields: URLSearchParams,
): Promise<JsonObject[]> {
  const services = ctx.applicationServices.all.filter((service) => service.protocols.includes(name))
  return searchAll(ctx, services, kind, `${kind}/${encodeURIComponent(name)}`, fields)
}

/** The locations behind an alias. */
export function locationsOfAlias(ctx: Engine, alias: string): Promise<JsonObject[]> {
  const services = ctx.applicationServices.all.filter(({ aliases }) => aliases.includes(alias))
  return searchAll(ctx, services, 'location', 'location', new URLSearchParams({ alias }))
}

/** The users of other networks behind a user. */
export function usersOfUser(ctx: Engine, userId: string): Promise<JsonObject[]> {
  const services = ctx.applicationServices.all.filter(({ users }) => users.includes(userId))
  return searchAll(ctx, services, 'user', 'user', new URLSearchParams({ userid: userId }))
}

async function searchAll(
  ctx: Engine,
  services: readonly ApplicationService[],
  kind: 'location' | 'user',
  path: string,
  query: URLSearchParams,
): Promise<JsonObject[]> {
  const answers = await Promise.all(services.map((service) => ask(ctx, service, path, query)))
  return answers.flatMap((answer) => (Array.isArray(answer) ? answer.filter((one) => isResult(one, kind)) : []))
}

function isResult(json: unknown, kind: 'location' | 'user'): json is JsonObject {
  if (!isObject(json) || typeof json.protocol !== 'string' || !isObject(json.fields)) return false
  const id = kind === 'location' ? json.alias : json.userid
  return typeof id === 'string' && (kind === 'location' ? parseRoomAlias(id) : parseUserId(id)) !== undefined
}

/** @returns undefined when there is no answer, or not the one that is hoped for. */
async function ask(ctx: Engine, service: ApplicationService, path: string, query: URLSearchParams): Promise<unknown> {
  if (service.url === undefined) return undefined
  const text = query.size === 0 ? path : `${path}?${query}`
  try {
    const answer = await ctx.applicationServices.client.ask(service, {
      method: 'GET',
      path: `/_matrix/app/v1/thirdparty/${text}`,
      legacyPath: `/_matrix/app/unstable/thirdparty/${text}`,
    })
    return answer.status === 200 ? answer.json : undefined
  } catch (error) {
    ctx.log.info({ service: service.id, error: (error as Error).message }, 'An application service cannot be asked')
    return undefined
  }
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
