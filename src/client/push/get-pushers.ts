import { endpoint } from '../../http/endpoint.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { pushersOf } from '../../push/set-pusher.ts'
import type { PusherRow } from '../../storage/pushers.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushers` (v1.19). */
export const getPushers = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/pushers', '/_matrix/client/r0/pushers'],
  auth: 'user',
  async handle(ctx, { requester }) {
    const rows = await pushersOf(ctx, requester)
    return { pushers: rows.map((row) => pusherAnswer(row, { msc3881: ctx.config.experimental.msc3881 })) }
  },
})

function pusherAnswer(row: PusherRow, { msc3881 }: { msc3881: boolean }): JsonObject {
  return {
    pushkey: row.pushkey,
    kind: row.kind,
    app_id: row.app_id,
    app_display_name: row.app_display_name,
    device_display_name: row.device_display_name,
    ...(row.profile_tag !== null && { profile_tag: row.profile_tag }),
    lang: row.lang,
    data: JSON.parse(row.data) as JsonObject,
    ...(msc3881 && {
      enabled: row.enabled,
      'org.matrix.msc3881.enabled': row.enabled,
      ...(row.device_id !== null && { device_id: row.device_id, 'org.matrix.msc3881.device_id': row.device_id }),
    }),
  }
}
