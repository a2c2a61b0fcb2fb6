import { type Static, Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { MAX_APP_ID_LENGTH, MAX_PUSHKEY_BYTES } from '../../matrix/limits.ts'
import { deletePusher, type PusherSettings, setPusher } from '../../push/set-pusher.ts'
import { shortText } from '../text.ts'

const body = Type.Object({
  kind: Type.Union([Type.String(), Type.Null()]),
  app_id: Type.String({ pattern: '^[^\\u0000]*$' }),
  pushkey: Type.String({ pattern: '^[^\\u0000]*$' }),
  app_display_name: Type.Optional(shortText),
  device_display_name: Type.Optional(shortText),
  profile_tag: Type.Optional(Type.Union([shortText, Type.Null()])),
  lang: Type.Optional(shortText),
  data: Type.Optional(Type.Unsafe<JsonObject>(Type.Object({}))),
  append: Type.Optional(Type.Boolean()),
  enabled: Type.Optional(Type.Boolean()),
  'org.matrix.msc3881.enabled': Type.Optional(Type.Boolean()),
})

type Body = Static<typeof body>

/** Spec: Client-Server API, `POST /_matrix/client/v3/pushers/set` (v1.19). */
export const postPusher = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/pushers/set', '/_matrix/client/r0/pushers/set'],
  auth: 'user',
  body,
  async handle(ctx, { body, requester }) {
    if (body.kind === null) await deletePusher(ctx, requester, addressOf(body))
    else await setPusher(ctx, requester, settingsOf(body, body.kind, ctx.config.experimental.msc3881))
    return {}
  },
})

function addressOf({ app_id: appId, pushkey }: Body): Pick<PusherSettings, 'appId' | 'pushkey'> {
  if (appId.length > MAX_APP_ID_LENGTH) throw new MatrixError('M_INVALID_PARAM', 'app_id: too long')
  if (Buffer.byteLength(pushkey) > MAX_PUSHKEY_BYTES) throw new MatrixError('M_INVALID_PARAM', 'pushkey: too long')
  return { appId, pushkey }
}

function settingsOf(body: Body, kind: string, msc3881: boolean): PusherSettings {
  const required = ['app_display_name', 'device_display_name', 'lang', 'data'] as const
  const missing = required.filter((key) => body[key] === undefined)
  if (missing.length > 0) throw new MatrixError('M_MISSING_PARAM', `Missing: ${missing.join(', ')}`)
  const enabled = body['org.matrix.msc3881.enabled'] ?? body.enabled ?? true
  return {
    ...addressOf(body),
    kind,
    appDisplayName: body.app_display_name!,
    deviceDisplayName: body.device_display_name!,
    profileTag: body.profile_tag ?? undefined,
    lang: body.lang!,
    data: body.data!,
    enabled: msc3881 ? enabled : true,
    append: body.append ?? false,
  }
}
