import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { searchUsers } from '../../profiles/user-directory.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/user_directory/search` (v1.19). */
export const searchUserDirectory = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/user_directory/search', '/_matrix/client/r0/user_directory/search'],
  auth: 'user',
  whileSuspended: true,
  rateLimit: { kind: 'user_directory', by: 'user' },
  body: Type.Object({ search_term: Type.String(), limit: Type.Optional(Type.Integer()) }),
  handle: (ctx, { body, requester }) =>
    searchUsers(ctx, requester, { term: body.search_term, limit: body.limit ?? 10 }),
})
