import { endpoint } from '../../http/endpoint.ts'

/** Spec: MSC2000, `GET /password_policy`; Synapse and the clients made for it have the policy itself as the answer. */
export const getPasswordPolicy = endpoint({
  method: 'get',
  path: '/_matrix/client/r0/password_policy',
  auth: 'none',
  when: (config) => config.experimental.msc2000,
  handle(ctx) {
    const { passwords } = ctx.config
    const policy = {
      'm.minimum_length': passwords.minimum_length,
      'm.require_digit': passwords.require_digit,
      'm.require_symbol': passwords.require_symbol,
      'm.require_lowercase': passwords.require_lowercase,
      'm.require_uppercase': passwords.require_uppercase,
    }
    return { policy, ...policy }
  },
})
