import type { Endpoint } from '../../http/endpoint.ts'
import { getPresence, setPresence } from './presence.ts'

/** Spec: Client-Server API, "Presence". */
export const presenceEndpoints: readonly Endpoint[] = [getPresence, setPresence]
