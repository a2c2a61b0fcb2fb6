import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { bind, unbind } from '../../identity-servers/binds.ts'
import type { UserId } from '../../matrix/ids.ts'
import { threepidBody } from './threepid.ts'

const credentials = Type.Object({
  client_secret: Type.String({ pattern: '^[0-9a-zA-Z.=_-]{1,255}$' }),
  id_server: Type.String({ maxLength: 255 }),
  id_access_token: Type.String({ maxLength: 4096, pattern: '^[\\x21-\\x7e]+$' }),
  sid: Type.String({ pattern: '^[0-9a-zA-Z.=_-]{1,255}$' }),
})

type Credentials = (typeof credentials)['static']

/** What the identity server refuses with is the client's to see. */
async function bindFor(ctx: Context, user: { userId: UserId; userNid: number }, given: Credentials) {
  const refusal = await bind(ctx, user, {
    idServer: given.id_server,
    idAccessToken: given.id_access_token,
    sid: given.sid,
    clientSecret: given.client_secret,
  })
  if (refusal === undefined) return {}
  const { status, ...body } = refusal
  return reply(body, { status })
}

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/bind` (v1.19). */
export const bind3PID = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid/bind', '/_matrix/client/r0/account/3pid/bind'],
  auth: 'user',
  body: credentials,
  handle: (ctx, { body, requester }) => bindFor(ctx, requester, body),
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid`, deprecated (v1.19). */
export const post3PIDs = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid', '/_matrix/client/r0/account/3pid'],
  auth: 'user',
  body: Type.Object({ three_pid_creds: credentials }),
  handle: (ctx, { body, requester }) => bindFor(ctx, requester, body.three_pid_creds),
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/unbind` (v1.19). */
export const unbind3pidFromAccount = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid/unbind', '/_matrix/client/r0/account/3pid/unbind'],
  auth: 'user',
  body: threepidBody,
  async handle(ctx, { body, requester }) {
    return { id_server_unbind_result: await unbind(ctx, requester, body, body.id_server) }
  },
})
