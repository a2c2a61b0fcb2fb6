import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { readPresence } from '../../presence/read-presence.ts'
import { refuseOthers } from '../user-data/own-data.ts'

const path = ['/_matrix/client/v3/presence/{userId}/status', '/_matrix/client/r0/presence/{userId}/status'] as const

/**
 * Where presence is switched off everybody is offline, and nobody learns whether there is such a user.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/presence/{userId}/status` (v1.19).
 */
export const getPresence = endpoint({
  method: 'get',
  path,
  auth: 'user',
  params: { userId: parseUserId },
  handle: (ctx, { params, requester }) => readPresence(ctx, requester, params.userId),
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/presence/{userId}/status` (v1.19). */
export const setPresence = endpoint({
  method: 'put',
  path,
  auth: 'user',
  whileSuspended: true,
  params: { userId: parseUserId },
  rateLimit: { kind: 'presence', by: 'user' },
  body: Type.Object({
    presence: Type.Union([Type.Literal('online'), Type.Literal('offline'), Type.Literal('unavailable')]),
    status_msg: Type.Optional(Type.Union([Type.String({ pattern: '^[^\\u0000]*$' }), Type.Null()])),
  }),
  async handle(ctx, { params, requester, body }) {
    refuseOthers(params.userId, requester)
    if ((body.status_msg?.length ?? 0) > longestStatus) throw new MatrixError('M_TOO_LARGE', 'status_msg is too long')
    await ctx.presence?.set(requester, requester.deviceId ?? '', body.presence, body.status_msg)
    return {}
  },
})

/** Characters. */
const longestStatus = 1024
