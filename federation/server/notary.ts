import { Type } from '@sinclair/typebox'
import { type Endpoint, endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseServerName, type ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { signedByAll } from '../../src/matrix/published-keys.ts'
import type { Federation } from '../federation.ts'

/** Servers that one request may ask about, and requests of ours that run at a time for it. */
const mostServers = 100
const atOnce = 5

const validity = Type.Optional(Type.Integer({ minimum: 0 }))
const query = Type.Object({ minimum_valid_until_ts: validity })
const criteria = Type.Record(Type.String(), Type.Object({ minimum_valid_until_ts: validity }))

/**
 * Vouches for the keys of other servers, of those alone that are federated with: whoever asks cannot have us call at
 * other doors.
 *
 * Spec: Server-Server API, "Querying Keys Through Another Server" (v1.19).
 */
export function notary(federation: Federation): Endpoint[] {
  const open = { auth: 'none', rateLimit: { kind: 'key_query', by: 'address' } } as const
  return [
    endpoint({
      ...open,
      method: 'get',
      path: '/_matrix/key/v2/query/{serverName}',
      params: { serverName: parseServerName },
      query,
      handle: (_ctx, { params, query, domain }) =>
        answer(federation, domain, [[params.serverName, query.minimum_valid_until_ts]]),
    }),
    endpoint({
      ...open,
      method: 'post',
      path: '/_matrix/key/v2/query',
      body: Type.Object({ server_keys: Type.Record(Type.String(), criteria) }),
      handle: (_ctx, { body, domain }) => {
        const asked = Object.entries(body.server_keys)
        if (asked.length > mostServers) throw new MatrixError('M_TOO_LARGE', `At most ${mostServers} servers at a time`)
        const wanted = asked.flatMap(([name, keys]): Wanted[] => {
          const server = parseServerName(name)
          const times = Object.values(keys).flatMap(({ minimum_valid_until_ts: until }) => until ?? [])
          return server === undefined ? [] : [[server, times.length === 0 ? undefined : Math.max(...times)]]
        })
        return answer(federation, domain, wanted)
      },
    }),
  ]
}

/** A server, and until when its keys should be valid: milliseconds, now without a say. */
type Wanted = readonly [server: ServerName, until: number | undefined]

async function answer(
  { ctx, keys, allowList }: Federation,
  domain: ServerName,
  wanted: readonly Wanted[],
): Promise<JsonObject> {
  const found: JsonObject[] = []
  const open = [...wanted]
  const work = async (): Promise<void> => {
    for (let next = open.shift(); next; next = open.shift()) {
      const [server, until = ctx.clock.now()] = next
      if (ctx.domains.isLocal(server)) found.push(ctx.domains.publishedKeysOf(server, ctx.clock.now()))
      else if (allowList.allows(server, 'keys')) {
        const published = await keys.published(server, until)
        if (published) found.push(signedByAll(domain, ctx.domains.keysOf(domain), published))
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return { server_keys: found }
}
