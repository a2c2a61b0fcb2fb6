import { createHmac } from 'node:crypto'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

/**
 * Credentials for a while, which TURN servers that know the shared secret can check by themselves: the expiry and the
 * user id, and the HMAC-SHA1 of both.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/voip/turnServer` (v1.19).
 */
export const getTurnServer = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/voip/turnServer', '/_matrix/client/r0/voip/turnServer'],
  auth: 'user',
  handle(ctx, { requester }) {
    const { uris, shared_secret: secret, lifetime_seconds: ttl } = ctx.config.turn
    if (uris.length === 0 || secret === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no TURN server here')
    const username = `${Math.floor(ctx.clock.now() / 1000) + ttl}:${requester.userId}`
    const password = createHmac('sha1', secret).update(username).digest('base64')
    return { username, password, uris, ttl }
  },
})
