import type { Endpoint } from '../../http/endpoint.ts'
import { getSpaceHierarchy } from './get-space-hierarchy.ts'

/** Spec: Client-Server API, "Spaces". */
export const spaceEndpoints: readonly Endpoint[] = [getSpaceHierarchy]
