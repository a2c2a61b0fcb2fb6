import { Type } from '@sinclair/typebox'
import { refreshSession } from '../../accounts/sessions.ts'
import { endpoint } from '../../http/endpoint.ts'
import { tokenFields } from './session-answer.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/refresh` (v1.19). */
export const refresh = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/refresh', '/_matrix/client/v1/refresh'],
  auth: 'none',
  body: Type.Object({ refresh_token: Type.String({ minLength: 1 }) }),
  async handle(ctx, { body }) {
    const session = await refreshSession(ctx, body.refresh_token)
    return { access_token: session.accessToken, ...tokenFields(session) }
  },
})
