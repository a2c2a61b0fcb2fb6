import type { Endpoint } from '../../http/endpoint.ts'
import { search } from './search.ts'

/** Spec: Client-Server API, "Server Side Search". */
export const searchEndpoints: readonly Endpoint[] = [search]
