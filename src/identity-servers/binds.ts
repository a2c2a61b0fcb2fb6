import type { Context } from '../context.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { signJson } from '../matrix/signatures.ts'
import { bindsOf, deleteBind, insertBind } from '../storage/threepid-binds.ts'
import { errorIn, type IdentityAnswer, type IdentityServer, identityPath } from './identity-servers.ts'

type User = { readonly userId: UserId; readonly userNid: number }
type Engine = Pick<Context, 'identityServers' | 'database' | 'domains' | 'log'>

/** What `id_server_unbind_result` says. */
export type UnbindResult = 'success' | 'no-support'

/** What an identity server refuses with, for the client to see. */
export type Refusal = { readonly status: number; readonly errcode: string; readonly error: string }

const longestAddress = 255

/**
 * Makes an address known at an identity server, as the user's.
 *
 * Spec: Client-Server API, `POST /account/3pid/bind`; Identity Service API, "Establishing Associations" (v1.19).
 *
 * @returns undefined, or what the identity server refuses with.
 * @throws MatrixError M_SERVER_NOT_TRUSTED, M_CONNECTION_FAILED
 */
export async function bind(
  ctx: Engine,
  user: User,
  wish: {
    readonly idServer: string
    readonly idAccessToken: string
    readonly sid: string
    readonly clientSecret: string
  },
): Promise<Refusal | undefined> {
  const server = ctx.identityServers.get(wish.idServer)
  const body = { sid: wish.sid, client_secret: wish.clientSecret, mxid: user.userId }
  const authorization = `Bearer ${wish.idAccessToken}`
  const answer = await ctx.identityServers.ask(server, { method: 'POST', path: '/3pid/bind', body, authorization })
  if (answer.status !== 200) return refusalOf(answer)
  const { medium, address } = answer.body ?? {}
  const isShown = (medium === 'email' || medium === 'msisdn') && typeof address === 'string'
  if (isShown && address.length <= longestAddress && !address.includes('\0')) {
    await ctx.database.read(insertBind, [user.userNid, medium, address, server.name])
  }
  return undefined
}

/** @returns what is said to a client: what the identity server says, or that it says nothing of use. */
function refusalOf(answer: IdentityAnswer): Refusal {
  const error = errorIn(answer)
  const isRefusal = error !== undefined && answer.status >= 400 && answer.status < 500
  return isRefusal
    ? { ...error, status: answer.status }
    : { status: 502, errcode: 'M_UNKNOWN', error: 'The identity server does not do this' }
}

/**
 * Has identity servers forget that an address is the user's: the one that is named, or those where it was bound through us.
 *
 * Spec: Client-Server API, `POST /account/3pid/unbind`; Identity Service API, `POST /3pid/unbind` (v1.19).
 */
export async function unbind(
  ctx: Engine,
  user: User,
  threepid: { readonly medium: string; readonly address: string },
  idServer: string | undefined,
): Promise<UnbindResult> {
  const { medium, address } = threepid
  const known = await ctx.database.read(bindsOf, [user.userNid])
  const bound = known.filter((one) => one.medium === medium && one.address === address).map((one) => one.id_server)
  const servers = (idServer === undefined ? bound : [idServer]).flatMap((name) => ctx.identityServers.find(name) ?? [])
  const results: boolean[] = []
  for (const server of servers) {
    const isGone = await askToUnbind(ctx, user, threepid, server)
    if (isGone) await ctx.database.read(deleteBind, [user.userNid, medium, address, server.name])
    results.push(isGone)
  }
  return results.length > 0 && results.every(Boolean) ? 'success' : 'no-support'
}

/** Every address of a user that leaves. */
export async function unbindAll(ctx: Engine, user: User): Promise<UnbindResult> {
  let result: UnbindResult = 'success'
  for (const { medium, address, id_server: server } of await ctx.database.read(bindsOf, [user.userNid])) {
    if ((await unbind(ctx, user, { medium, address }, server)) !== 'success') result = 'no-support'
  }
  return result
}

/** What the name of who is asked is called in what is signed: by the specification, and by the servers there are. */
const destinationNames = ['destination', 'destination_is'] as const

/** The request is signed by the user's domain, since the user may have no access token there any more. */
async function askToUnbind(
  ctx: Engine,
  user: User,
  { medium, address }: { readonly medium: string; readonly address: string },
  server: IdentityServer,
): Promise<boolean> {
  const path = '/3pid/unbind'
  const body: JsonObject = { mxid: user.userId, threepid: { medium, address } }
  const origin = serverNameOf(user.userId)
  const key = ctx.domains.keyOf(origin)
  try {
    for (const destination of destinationNames) {
      const request = { method: 'POST', uri: identityPath + path, origin, [destination]: server.name, content: body }
      const signature = signJson(request, origin, key).signatures[origin]![key.keyId]!
      const parties = `origin="${origin}",destination="${server.name}"`
      const authorization = `X-Matrix ${parties},key="${key.keyId}",sig="${signature}"`
      const answer = await ctx.identityServers.ask(server, { method: 'POST', path, body, authorization })
      if (answer.status === 200) return true
      if (answer.status !== 401 && answer.status !== 403) return false
    }
  } catch {
    ctx.log.info({ server: server.name }, 'An identity server does not answer')
  }
  return false
}
