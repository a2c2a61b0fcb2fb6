import { getVersions } from './get-versions.ts'

export const serverEndpoints = [getVersions]
