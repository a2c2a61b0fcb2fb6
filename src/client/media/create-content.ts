import { endpoint } from '../../http/endpoint.ts'
import { mxcOf } from '../../media/media-ids.ts'
import { createMediaId } from '../../media/upload.ts'

/** Spec: Client-Server API, `POST /_matrix/media/v1/create` (v1.19). */
export const createContent = endpoint({
  method: 'post',
  path: '/_matrix/media/v1/create',
  auth: 'user',
  rateLimit: { kind: 'media_create', by: 'user' },
  async handle(ctx, { requester }) {
    const media = await createMediaId(ctx, requester)
    return { content_uri: mxcOf(media), unused_expires_at: media.expiresAt }
  },
})
