import { Type } from '@sinclair/typebox'
import { pingService } from '../../application-services/ping-service.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** Spec: Application Service API, `POST /_matrix/client/v1/appservice/{appserviceId}/ping` (v1.19). */
export const pingAppservice = endpoint({
  method: 'post',
  path: '/_matrix/client/v1/appservice/{appserviceId}/ping',
  auth: 'user',
  body: Type.Object({ transaction_id: Type.Optional(Type.String()) }),
  async handle(ctx, { params, body, requester }) {
    const { service } = requester
    if (service === undefined || service.id !== params.appserviceId) {
      throw new MatrixError('M_FORBIDDEN', 'The token is not that of this application service')
    }
    return { duration_ms: await pingService(ctx, service, body.transaction_id) }
  },
})
