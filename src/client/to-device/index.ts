import type { Endpoint } from '../../http/endpoint.ts'
import { sendToDevice } from './send-to-device.ts'

/** Spec: Client-Server API, "Send-to-Device messaging". */
export const toDeviceEndpoints: readonly Endpoint[] = [sendToDevice]
