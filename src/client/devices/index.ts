import type { Endpoint } from '../../http/endpoint.ts'
import {
  deleteDehydratedDevice,
  getDehydratedDevice,
  getDehydratedDeviceEvents,
  postDehydratedDeviceEvents,
  putDehydratedDevice,
} from './dehydrated-device.ts'
import { deleteDevice } from './delete-device.ts'
import { deleteDevices } from './delete-devices.ts'
import { getDevice } from './get-device.ts'
import { getDevices } from './get-devices.ts'
import { rendezvousEndpoints } from './rendezvous.ts'
import { plainRendezvousEndpoints } from './rendezvous-plain.ts'
import { updateDevice } from './update-device.ts'

/** Spec: Client-Server API, "Device management". */
export const deviceEndpoints: readonly Endpoint[] = [
  getDevices,
  getDevice,
  updateDevice,
  deleteDevice,
  deleteDevices,
  putDehydratedDevice,
  getDehydratedDevice,
  deleteDehydratedDevice,
  getDehydratedDeviceEvents,
  postDehydratedDeviceEvents,
  ...rendezvousEndpoints,
  ...plainRendezvousEndpoints,
]
