import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/media/config` (v1.19), and its deprecated path. */
export const getConfigAuthed = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v1/media/config',
    '/_matrix/media/v3/config',
    '/_matrix/media/r0/config',
    '/_matrix/media/v1/config',
  ],
  auth: 'userOrGuest',
  handle: (ctx) => ({ 'm.upload.size': ctx.config.media.max_upload_size }),
})
