import { Type } from '@sinclair/typebox'
import { checkUserIdFree, newUserId } from '../../accounts/create-account.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/register/available` (v1.19). */
export const checkUsernameAvailability = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/register/available', '/_matrix/client/r0/register/available'],
  auth: 'none',
  query: Type.Object({ username: Type.String() }),
  async handle(ctx, { query, domain, address }) {
    // A bucket of its own: looking for a free name must not use up the registration itself.
    await ctx.rateLimits.take('registration', `available ${address}`)
    if (ctx.config.registration.mode === 'closed') {
      throw new MatrixError('M_FORBIDDEN', 'Registration is closed on this server')
    }
    const userId = newUserId(ctx, query.username, domain)
    ctx.applicationServices.checkUser(userId, undefined)
    await checkUserIdFree(ctx, userId)
    return { available: true }
  },
})
