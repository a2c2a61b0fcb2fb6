import { createOpenIdToken } from '../../accounts/openid-tokens.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { refuseOthers } from '../user-data/own-data.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/user/{userId}/openid/request_token` (v1.19). */
export const requestOpenIdToken = endpoint({
  method: 'post',
  path: [
    '/_matrix/client/v3/user/{userId}/openid/request_token',
    '/_matrix/client/r0/user/{userId}/openid/request_token',
  ],
  auth: 'user',
  params: { userId: parseUserId },
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    const { token, expiresIn } = await createOpenIdToken(ctx, requester)
    return {
      access_token: token,
      token_type: 'Bearer',
      matrix_server_name: requester.domain,
      expires_in: expiresIn,
    }
  },
})
