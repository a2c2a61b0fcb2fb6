import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/login` (v1.19). */
export const getLoginFlows = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/login', '/_matrix/client/r0/login'],
  auth: 'none',
  handle(ctx) {
    const { passwords, sessions } = ctx.config
    return {
      flows: [
        ...(passwords.enabled ? [{ type: 'm.login.password' }] : []),
        ...(ctx.applicationServices.all.length > 0 ? [{ type: 'm.login.application_service' }] : []),
        ...(sessions.login_token_enabled ? [{ type: 'm.login.token', get_login_token: true }] : []),
      ],
    }
  },
})
