import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { isRegistrationTokenUsable } from '../../storage/registration-tokens.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/register/m.login.registration_token/validity` (v1.19). */
export const registrationTokenValidity = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/register/m.login.registration_token/validity',
  auth: 'none',
  rateLimit: { kind: 'registration_token_validity', by: 'address' },
  query: Type.Object({ token: Type.String() }),
  async handle(ctx, { query }) {
    if (ctx.config.registration.mode === 'closed') {
      throw new MatrixError('M_FORBIDDEN', 'Registration is closed on this server')
    }
    return { valid: await isRegistrationTokenUsable(ctx.database.db, query.token, ctx.clock.now()) }
  },
})
