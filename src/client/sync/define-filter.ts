import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { MAX_FILTER_BYTES } from '../../matrix/limits.ts'
import { storeFilter } from '../../sync/filters.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/user/{userId}/filter` (v1.19). */
export const defineFilter = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/user/{userId}/filter', '/_matrix/client/r0/user/{userId}/filter'],
  auth: 'userOrGuest',
  params: { userId: parseUserId },
  bodyLimit: MAX_FILTER_BYTES,
  body: anyObject,
  async handle(ctx, { params, body, requester }) {
    if (params.userId !== requester.userId) throw new MatrixError('M_FORBIDDEN', 'Cannot create filters for others')
    return { filter_id: await storeFilter(ctx, requester.userNid, body) }
  },
})
