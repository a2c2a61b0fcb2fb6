import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { loadFilter } from '../../sync/filters.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/user/{userId}/filter/{filterId}` (v1.19). */
export const getFilter = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/user/{userId}/filter/{filterId}', '/_matrix/client/r0/user/{userId}/filter/{filterId}'],
  auth: 'userOrGuest',
  params: { userId: parseUserId },
  async handle(ctx, { params, requester }) {
    if (params.userId !== requester.userId) throw new MatrixError('M_FORBIDDEN', 'Cannot read filters of others')
    return loadFilter(ctx, requester.userNid, params.filterId)
  },
})
