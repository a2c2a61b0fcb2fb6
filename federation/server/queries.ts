import { Type } from '@sinclair/typebox'
import { ownerOfOpenIdToken } from '../../src/accounts/openid-tokens.ts'
import { askForUser, resolveOrAsk } from '../../src/application-services/query-services.ts'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { defineEndpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseRoomAlias, parseUserId, serverNameOf } from '../../src/matrix/ids.ts'
import { profileOf } from '../../src/profiles/read-profile.ts'
import type { Federation } from '../federation.ts'
import { federationEndpoint } from './federation-endpoint.ts'

/** Spec: Server-Server API, "Querying for information", "OpenID" (v1.19). */
export function queries(federation: Federation): Endpoint[] {
  const { ctx } = federation
  return [
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/query/profile',
      query: Type.Object({ user_id: Type.String(), field: Type.Optional(Type.String()) }),
      async handle({ query }) {
        const userId = parseUserId(query.user_id as string)
        if (!userId) throw new MatrixError('M_INVALID_PARAM', 'Not a user id')
        if (!ctx.domains.isLocal(serverNameOf(userId))) throw new MatrixError('M_NOT_FOUND', 'No such user')
        await askForUser(ctx, userId)
        const profile = await profileOf(ctx, userId)
        const field = query.field as string | undefined
        if (field === undefined) return profile
        return Object.hasOwn(profile, field) ? { [field]: profile[field] } : {}
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/query/directory',
      query: Type.Object({ room_alias: Type.String() }),
      async handle({ query }) {
        const alias = parseRoomAlias(query.room_alias as string)
        if (!alias || !ctx.domains.isLocal(serverNameOf(alias)))
          throw new MatrixError('M_NOT_FOUND', 'Room alias not found')
        const { roomId, servers } = await resolveOrAsk(ctx, alias)
        return { room_id: roomId, servers }
      },
    }),
    defineEndpoint(
      {
        method: 'get',
        path: '/_matrix/federation/v1/openid/userinfo',
        query: Type.Object({ access_token: Type.Optional(Type.String()) }),
        async handle(_ctx, call: never) {
          const token = (call as { query: { access_token?: string } }).query.access_token
          const userId = token === undefined ? undefined : await ownerOfOpenIdToken(ctx, token)
          if (userId === undefined) throw new MatrixError('M_UNKNOWN_TOKEN', 'Unknown or expired token')
          return { sub: userId }
        },
      },
      () => undefined,
    ),
  ]
}
