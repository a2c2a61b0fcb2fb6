import { MatrixError } from '../../matrix/errors.ts'

/** @throws MatrixError M_FORBIDDEN unless the path names the requester. */
export function refuseOthers(userId: string, requester: { readonly userId: string }): void {
  if (userId !== requester.userId) throw new MatrixError('M_FORBIDDEN', 'This is for the user alone')
}
