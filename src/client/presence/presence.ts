import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { refuseOthers } from '../user-data/own-data.ts'

const path = ['/_matrix/client/v3/presence/{userId}/status', '/_matrix/client/r0/presence/{userId}/status'] as const

/**
 * Presence is not kept, so everybody is offline and nobody learns whether there is such a user.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/presence/{userId}/status` (v1.19).
 */
export const getPresence = endpoint({
  method: 'get',
  path,
  auth: 'user',
  params: { userId: parseUserId },
  handle: () => ({ presence: 'offline' }),
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/presence/{userId}/status` (v1.19). */
export const setPresence = endpoint({
  method: 'put',
  path,
  auth: 'user',
  whileSuspended: true,
  params: { userId: parseUserId },
  body: Type.Object({
    presence: Type.Union([Type.Literal('online'), Type.Literal('offline'), Type.Literal('unavailable')]),
    status_msg: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  handle(_ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    return {}
  },
})
