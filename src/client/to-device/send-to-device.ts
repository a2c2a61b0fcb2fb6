import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { isUnlimited } from '../../http/rate-limit.ts'
import { isObject } from '../../keys/key-json.ts'
import { MAX_TO_DEVICE_REQUEST_BYTES } from '../../keys/limits.ts'
import { sendToDevice as send } from '../../keys/send-to-device.ts'
import { deviceMap, nonEmptyText, parseUserMap } from '../../keys/user-map.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}` (v1.19). */
export const sendToDevice = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/sendToDevice/{eventType}/{txnId}',
    '/_matrix/client/r0/sendToDevice/{eventType}/{txnId}',
    '/_matrix/client/unstable/sendToDevice/{eventType}/{txnId}',
  ],
  auth: 'userOrGuest',
  whileSuspended: true,
  bodyLimit: MAX_TO_DEVICE_REQUEST_BYTES,
  params: { eventType: nonEmptyText, txnId: nonEmptyText },
  body: Type.Object({ messages: Type.Unknown() }),
  async handle(ctx, { params, body, requester }) {
    const messages = parseUserMap(
      'messages',
      body.messages,
      deviceMap((content) => (isObject(content) ? content : undefined)),
    )
    const { userNid, deviceId = '' } = requester
    const others = [...messages.keys()].filter((userId) => userId !== requester.userId).length
    if (params.eventType === 'm.room_key_request' && others > 0 && !isUnlimited(requester)) {
      const device = `${requester.userId} ${deviceId}`
      await ctx.rateLimits.check('key_requests', device)
      await ctx.rateLimits.charge('key_requests', device, others)
    }
    await send(ctx, requester.userId, params.eventType, messages, { userNid, deviceId, txnId: params.txnId })
    return {}
  },
})
