import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { mxcOf } from '../../media/media-ids.ts'
import { uploadMedia } from '../../media/upload.ts'
import { readUpload } from './read-upload.ts'

/** Spec: Client-Server API, `POST /_matrix/media/v3/upload` (v1.19). */
export const uploadContent = endpoint({
  method: 'post',
  path: ['/_matrix/media/v3/upload', '/_matrix/media/r0/upload', '/_matrix/media/v1/upload'],
  auth: 'user',
  raw: true,
  query: Type.Object({ filename: Type.Optional(Type.String()) }),
  async handle(ctx, { requester, request, query }) {
    const media = await uploadMedia(ctx, requester, readUpload(request, query.filename))
    return { content_uri: mxcOf(media) }
  },
})
