import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseServerName } from '../../matrix/ids.ts'
import { parseMediaId } from '../../media/media-ids.ts'
import { uploadToId } from '../../media/upload.ts'
import { readUpload } from './read-upload.ts'

/** Spec: Client-Server API, `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}` (v1.19). */
export const uploadContentToMXC = endpoint({
  method: 'put',
  path: '/_matrix/media/v3/upload/{serverName}/{mediaId}',
  auth: 'user',
  raw: true,
  params: { serverName: parseServerName, mediaId: parseMediaId },
  query: Type.Object({ filename: Type.Optional(Type.String()) }),
  async handle(ctx, { requester, request, params, query }) {
    await uploadToId(ctx, requester, params, readUpload(request, query.filename))
    return {}
  },
})
