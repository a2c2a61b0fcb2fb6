import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** An address, and the identity server that it may be bound at. */
export const threepidBody = Type.Object({
  medium: Type.Union([Type.Literal('email'), Type.Literal('msisdn')]),
  address: Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' }),
  id_server: Type.Optional(Type.String({ maxLength: 255 })),
})

/** @throws MatrixError M_THREEPID_DENIED where users do not change their addresses. */
export function refuseUnlessChangeable({ config }: Pick<Context, 'config'>): void {
  if (config.mail.allow_changes) return
  throw new MatrixError('M_THREEPID_DENIED', 'Addresses are not changed by users on this server')
}
