import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { uploadKeys as upload } from '../../keys/upload-keys.ts'
import { MatrixError } from '../../matrix/errors.ts'

const bodyLimit = 1024 * 1024

/** Spec: Client-Server API, `POST /_matrix/client/v3/keys/upload` (v1.19). */
export const uploadKeys = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/keys/upload', '/_matrix/client/r0/keys/upload'],
  auth: 'userOrGuest',
  whileSuspended: true,
  bodyLimit,
  body: Type.Object({
    device_keys: Type.Optional(Type.Unknown()),
    one_time_keys: Type.Optional(Type.Unknown()),
    fallback_keys: Type.Optional(Type.Unknown()),
    'org.matrix.msc2732.fallback_keys': Type.Optional(Type.Unknown()),
  }),
  async handle(ctx, { body, requester }) {
    const { deviceId } = requester
    if (deviceId === undefined) throw new MatrixError('M_INVALID_PARAM', 'There is no device to upload keys for')
    const { fallback_keys: fallbackKeys = body['org.matrix.msc2732.fallback_keys'] } = body
    const counts = await upload(
      ctx,
      { ...requester, deviceId },
      {
        deviceKeys: body.device_keys,
        oneTimeKeys: body.one_time_keys,
        fallbackKeys,
      },
    )
    return { one_time_key_counts: counts }
  },
})
