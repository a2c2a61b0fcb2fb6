import { type Static, Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'

/** `ts` is not read: there is one preview of a page, of lately. */
const query = Type.Object({ url: Type.String() })

const shared = {
  method: 'get',
  auth: 'user',
  rateLimit: { kind: 'url_previews', by: 'user' },
  when: (config: Context['config']) => config.url_previews.enabled,
  query,
} as const

const answer = (ctx: Context, call: { requester: Requester; query: Static<typeof query> }) =>
  ctx.urlPreviews.of(call.query.url, call.requester.domain)

/** Spec: Client-Server API, `GET /_matrix/client/v1/media/preview_url` (v1.19). */
export const getUrlPreviewAuthed = endpoint({
  ...shared,
  path: '/_matrix/client/v1/media/preview_url',
  handle: answer,
})

/** Spec: Client-Server API, `GET /_matrix/media/v3/preview_url` (v1.19), deprecated. */
export const getUrlPreview = endpoint({
  ...shared,
  path: ['/_matrix/media/v3/preview_url', '/_matrix/media/r0/preview_url', '/_matrix/media/v1/preview_url'],
  handle: answer,
})
