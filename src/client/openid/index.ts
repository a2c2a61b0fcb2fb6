import type { Endpoint } from '../../http/endpoint.ts'
import { requestOpenIdToken } from './request-openid-token.ts'

/** Spec: Client-Server API, "OpenID". */
export const openIdEndpoints: readonly Endpoint[] = [requestOpenIdToken]
