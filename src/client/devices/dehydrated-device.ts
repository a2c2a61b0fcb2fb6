import { Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import {
  dehydrateDevice,
  dehydratedDevice,
  deleteDehydrated,
  messagesToDehydrated,
} from '../../devices/dehydrated-device.ts'
import { endpoint } from '../../http/endpoint.ts'
import { type RawJson, rawJson } from '../../http/response.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { formatSyncToken, parseSyncToken } from '../../sync/token.ts'
import { name, shortText } from '../text.ts'

/** Bytes: as an upload of keys, and the device. */
const bodyLimit = 1024 * 1024

const place = {
  path: '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device',
  auth: 'user',
  when: (config: Context['config']) => config.experimental.msc3814,
} as const

/** Spec: MSC3814, `PUT /dehydrated_device`. */
export const putDehydratedDevice = endpoint({
  ...place,
  method: 'put',
  bodyLimit,
  body: Type.Object({
    device_id: name,
    device_data: Type.Object({ algorithm: Type.String() }),
    initial_device_display_name: Type.Optional(Type.Union([shortText, Type.Null()])),
    device_keys: Type.Unknown(),
    one_time_keys: Type.Optional(Type.Unknown()),
    fallback_keys: Type.Optional(Type.Unknown()),
  }),
  async handle(ctx, { body, requester }) {
    await dehydrateDevice(ctx, requester, {
      deviceId: body.device_id,
      data: body.device_data as JsonObject,
      displayName: body.initial_device_display_name ?? undefined,
      keys: { deviceKeys: body.device_keys, oneTimeKeys: body.one_time_keys, fallbackKeys: body.fallback_keys },
    })
    return { device_id: body.device_id }
  },
})

/** Spec: MSC3814, `GET /dehydrated_device`. */
export const getDehydratedDevice = endpoint({
  ...place,
  method: 'get',
  async handle(ctx, { requester }) {
    const { deviceId, data } = await dehydratedDevice(ctx, requester.userNid)
    return { device_id: deviceId, device_data: data }
  },
})

/** Spec: MSC3814, `DELETE /dehydrated_device`. */
export const deleteDehydratedDevice = endpoint({
  ...place,
  method: 'delete',
  handle: async (ctx, { requester }) => ({ device_id: await deleteDehydrated(ctx, requester) }),
})

const events = { ...place, path: `${place.path}/{deviceId}/events` } as const

/** Spec: MSC3814, `GET /dehydrated_device/{device_id}/events`; matrix-js-sdk says `from`. */
export const getDehydratedDeviceEvents = endpoint({
  ...events,
  method: 'get',
  query: Type.Object({ next_batch: Type.Optional(Type.String()), from: Type.Optional(Type.String()) }),
  handle: (ctx, { params, query, requester }) =>
    messagesFrom(ctx, requester, params.deviceId, query.next_batch ?? query.from),
})

/** The same, as an earlier draft of MSC3814 had it and the SDK of Element X asks. */
export const postDehydratedDeviceEvents = endpoint({
  ...events,
  method: 'post',
  body: Type.Object({ next_batch: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
  handle: (ctx, { params, body, requester }) =>
    messagesFrom(ctx, requester, params.deviceId, body.next_batch ?? undefined),
})

async function messagesFrom(
  ctx: Context,
  requester: Requester,
  deviceId: string,
  from: string | undefined,
): Promise<RawJson> {
  const after = from === undefined ? 0 : parseSyncToken(from).position
  const { messages, next } = await messagesToDehydrated(ctx, requester, deviceId, after)
  const token = next === undefined ? '' : `,"next_batch":"${formatSyncToken({ position: next })}"`
  return rawJson([`{"events":[${messages.join(',')}]${token}}`])
}
