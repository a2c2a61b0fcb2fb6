import type { JsonObject } from '../../matrix/json.ts'
import type { DeviceRow } from '../../storage/devices.ts'

export function deviceAnswer(device: DeviceRow): JsonObject {
  return {
    device_id: device.device_id,
    ...(device.display_name !== null && { display_name: device.display_name }),
    ...(device.last_seen_at !== null && { last_seen_ts: device.last_seen_at }),
    ...(device.last_seen_ip !== null && { last_seen_ip: device.last_seen_ip }),
  }
}
