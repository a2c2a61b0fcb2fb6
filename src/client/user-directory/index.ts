import type { Endpoint } from '../../http/endpoint.ts'
import { searchUserDirectory } from './search-user-directory.ts'

/** Spec: Client-Server API, "User directory". */
export const userDirectoryEndpoints: readonly Endpoint[] = [searchUserDirectory]
