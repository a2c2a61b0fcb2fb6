import type { Endpoint } from '../../http/endpoint.ts'
import { getRtcTransports } from './get-rtc-transports.ts'
import { getTurnServer } from './get-turn-server.ts'

/** Spec: Client-Server API, "Voice over IP". */
export const voipEndpoints: readonly Endpoint[] = [getTurnServer, getRtcTransports]
