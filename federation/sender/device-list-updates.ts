import type { Context } from '../../src/context.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'

/** No update has this number. Any other may be the one that a server has the list of. */
const neverTold = 0

/**
 * What tells another server that devices or keys of users changed. It names the newest state and refers to one that was never
 * told, so that the server asks for the whole list: which of the devices changed is not remembered.
 *
 * Spec: Server-Server API, "Device Management", "End-to-End Encryption": `m.device_list_update`, `m.signing_key_update`
 * (v1.19).
 */
export async function deviceListUpdates(
  ctx: Pick<Context, 'deviceKeys'>,
  users: ReadonlyMap<number, UserId>,
  position: number,
): Promise<JsonObject[]> {
  if (users.size === 0) return []
  const published = await ctx.deviceKeys.published.of(users)
  return [...users].flatMap(([userNid, userId]) => {
    const keys = published.get(userNid)
    const [device] = keys?.devices.values() ?? []
    const [deviceId, deviceKeys] =
      device === undefined ? [] : Object.entries(JSON.parse(`{${device}}`) as JsonObject)[0]!
    const name = ((deviceKeys as JsonObject | undefined)?.unsigned as JsonObject | undefined)?.device_display_name
    const list = {
      edu_type: 'm.device_list_update',
      content: {
        user_id: userId,
        device_id: deviceId ?? 'none',
        stream_id: position,
        prev_id: [neverTold],
        deleted: deviceId === undefined,
        ...(deviceKeys !== undefined && { keys: deviceKeys }),
        ...(typeof name === 'string' && { device_display_name: name }),
      },
    }
    if (keys?.master === undefined) return [list]
    const master = JSON.parse(keys.master.with(keys.master.signatures)) as JsonObject
    const selfSigning = keys.selfSigning === undefined ? undefined : (JSON.parse(keys.selfSigning) as JsonObject)
    const signing = {
      user_id: userId,
      master_key: master,
      ...(selfSigning !== undefined && { self_signing_key: selfSigning }),
    }
    return [list, { edu_type: 'm.signing_key_update', content: signing }]
  })
}
