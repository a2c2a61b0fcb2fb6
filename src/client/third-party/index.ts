import type { Endpoint } from '../../http/endpoint.ts'
import {
  getProtocolMetadata,
  getProtocols,
  queryLocationByAlias,
  queryLocationByProtocol,
  queryUserByID,
  queryUserByProtocol,
} from './third-party-lookup.ts'

/** Spec: Client-Server API, "Third-party networks". */
export const thirdPartyEndpoints: readonly Endpoint[] = [
  getProtocols,
  getProtocolMetadata,
  queryLocationByProtocol,
  queryUserByProtocol,
  queryLocationByAlias,
  queryUserByID,
]
