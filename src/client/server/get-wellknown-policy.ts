import { endpoint } from '../../http/endpoint.ts'
import { encodeBase64 } from '../../matrix/base64.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** Where the domain is a policy server, what rooms name it by. Spec: Client-Server API, "Policy Servers" (v1.19). */
export const getWellknownPolicy = endpoint({
  method: 'get',
  path: '/.well-known/matrix/policy_server',
  auth: 'none',
  handle(ctx, { domain }) {
    const key = ctx.domains.policyKeyOf(domain)
    if (!key) throw new MatrixError('M_NOT_FOUND', 'This is no policy server')
    return { public_keys: { ed25519: encodeBase64(key.publicKey) } }
  },
})
