import type { Endpoint } from '../http/endpoint.ts'
import { serverEndpoints } from './server/index.ts'

/** Every operation of the client-server API that is served, a list per section of the specification. */
export const endpoints: readonly Endpoint[] = [...serverEndpoints]
