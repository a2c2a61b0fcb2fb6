import { Type } from '@sinclair/typebox'
import { setListedInNetwork } from '../../application-services/network-rooms.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { name } from '../text.ts'

/** Spec: Application Service API, `PUT /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}` (v1.19). */
export const updateAppserviceRoomDirectoryVisibility = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}',
    '/_matrix/client/r0/directory/list/appservice/{networkId}/{roomId}',
  ],
  auth: 'user',
  params: { roomId: parseRoomId, networkId: (text: string) => (text.length <= name.maxLength! ? text : undefined) },
  body: Type.Object({ visibility: Type.Union([Type.Literal('public'), Type.Literal('private')]) }),
  async handle(ctx, { params, body, requester }) {
    if (!requester.service) throw new MatrixError('M_FORBIDDEN', 'Only application services may list rooms of networks')
    await setListedInNetwork(ctx, requester.service, params.networkId, params.roomId, body.visibility === 'public')
    return {}
  },
})
