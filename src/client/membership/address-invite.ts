import { type Static, Type } from '@sinclair/typebox'
import type { AddressInvite } from '../../identity-servers/invite-by-address.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { UserId } from '../../matrix/ids.ts'

/** Spec: Client-Server API, `definitions/invite_3pid` (v1.19). */
export const addressInvite = Type.Object({
  id_server: Type.Optional(Type.String({ maxLength: 255 })),
  id_access_token: Type.Optional(Type.String({ maxLength: 4096, pattern: '^[\\x21-\\x7e]+$' })),
  medium: Type.Optional(Type.String({ maxLength: 255 })),
  address: Type.Optional(Type.String({ maxLength: 1000 })),
})

/** @throws MatrixError M_MISSING_PARAM */
export function addressInviteOf(given: Static<typeof addressInvite>, sender: UserId): AddressInvite {
  const { id_server: idServer, id_access_token: idAccessToken, medium, address } = given
  if (idServer === undefined || idAccessToken === undefined || medium === undefined || address === undefined) {
    throw new MatrixError('M_MISSING_PARAM', 'Missing: id_server, id_access_token, medium or address')
  }
  return { sender, medium, address, idServer, idAccessToken }
}
