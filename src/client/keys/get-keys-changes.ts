import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { keyChanges } from '../../keys/key-changes.ts'
import { parseSyncToken } from '../../sync/token.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/keys/changes` (v1.19). */
export const getKeysChanges = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/keys/changes', '/_matrix/client/r0/keys/changes'],
  auth: 'user',
  query: Type.Object({ from: Type.String(), to: Type.String() }),
  async handle(ctx, { query, requester }) {
    const span = { from: parseSyncToken(query.from).position, to: parseSyncToken(query.to).position }
    return keyChanges(ctx, requester, span, { completed: true })
  },
})
