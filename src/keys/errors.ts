import { MatrixError } from '../matrix/errors.ts'

/** `M_INVALID_SIGNATURE`. @TODO it belongs into the table of errors.ts. */
export function invalidSignature(message: string): MatrixError {
  return new MatrixError('M_INVALID_PARAM', message, { extra: { errcode: 'M_INVALID_SIGNATURE' } })
}
