import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** Whom users and other servers turn to. Spec: Client-Server API, "Getting homeserver contact and support information" (v1.19). */
export const getWellknownSupport = endpoint({
  method: 'get',
  path: '/.well-known/matrix/support',
  auth: 'none',
  handle(ctx, { domain }) {
    const known = ctx.config.domains.find(({ name }) => name === domain)
    const { support_page: page, support_contacts: contacts = [] } = known ?? {}
    if (page === undefined && contacts.length === 0) throw new MatrixError('M_NOT_FOUND', 'Nobody is named for support')
    return { ...(contacts.length > 0 && { contacts }), ...(page !== undefined && { support_page: page }) }
  },
})
