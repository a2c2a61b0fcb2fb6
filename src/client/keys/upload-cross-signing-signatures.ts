import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { isObject } from '../../keys/key-json.ts'
import { uploadSignatures } from '../../keys/upload-signatures.ts'
import { deviceMap, parseUserMap } from '../../keys/user-map.ts'
import type { JsonObject } from '../../matrix/json.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/keys/signatures/upload` (v1.19). */
export const uploadCrossSigningSignatures = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/keys/signatures/upload', '/_matrix/client/unstable/keys/signatures/upload'],
  auth: 'user',
  whileSuspended: true,
  bodyLimit: 1024 * 1024,
  body: anyObject,
  async handle(ctx, { body, requester }) {
    const signed = parseUserMap(
      'signatures',
      body,
      deviceMap((key) => (isObject(key) ? key : undefined)),
    )
    const failures = await uploadSignatures(ctx, requester, signed)
    const answer: { [userId: string]: { [key: string]: JsonObject } } = Object.create(null)
    for (const [userId, ofUser] of failures) {
      const errors: { [key: string]: JsonObject } = (answer[userId] = Object.create(null))
      for (const [name, error] of ofUser) errors[name] = error.toJSON()
    }
    return { failures: answer }
  },
})
