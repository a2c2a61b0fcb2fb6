import type { Endpoint } from '../http/endpoint.ts'
import { accountEndpoints } from './account/index.ts'
import { deviceEndpoints } from './devices/index.ts'
import { serverEndpoints } from './server/index.ts'
import { sessionEndpoints } from './session/index.ts'

/** Every operation of the client-server API that is served, a list per section of the specification. */
export const endpoints: readonly Endpoint[] = [
  ...serverEndpoints,
  ...sessionEndpoints,
  ...accountEndpoints,
  ...deviceEndpoints,
]
