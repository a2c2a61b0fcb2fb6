import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { type PublicRoomsQuery, publicRooms, publicRoomsBody, queryIn } from '../../src/rooms/public-rooms.ts'
import type { Federation } from '../federation.ts'
import { type FederationCall, federationEndpoint } from './federation-endpoint.ts'

const path = '/_matrix/federation/v1/publicRooms'

/** Spec: Server-Server API, "Public Room Directory" (v1.19). */
export function publicRoomsOperations(federation: Federation): Endpoint[] {
  const { ctx } = federation
  const answer = ({ destination }: FederationCall, query: PublicRoomsQuery) => {
    if (!ctx.config.rooms.allow_public_directory) throw new MatrixError('M_FORBIDDEN', 'There is no public directory')
    return publicRooms(ctx, destination, query)
  }
  return [
    federationEndpoint(federation, {
      method: 'get',
      path,
      query: Type.Omit(publicRoomsBody, ['filter']),
      handle: (call) => answer(call, queryIn(call.query)),
    }),
    federationEndpoint(federation, {
      method: 'post',
      path,
      handle(call) {
        const { body } = call
        if (!Value.Check(publicRoomsBody, body)) throw new MatrixError('M_BAD_JSON', 'Not a query of a directory')
        return answer(call, queryIn(body))
      },
    }),
  ]
}
