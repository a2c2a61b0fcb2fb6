import { endpoint } from '../../http/endpoint.ts'
import { threepidsOf } from '../../storage/threepids.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/account/3pid` (v1.19). */
export const getAccount3PIDs = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/account/3pid', '/_matrix/client/r0/account/3pid'],
  auth: 'user',
  handle: async (ctx, { requester }) => ({ threepids: await threepidsOf(ctx.database.db, requester.userNid) }),
})
