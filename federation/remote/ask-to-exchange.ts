import { MatrixError } from '../../src/matrix/errors.ts'
import { type RoomId, serverNameOf } from '../../src/matrix/ids.ts'
import type { RemoteServers } from '../../src/rooms/ports.ts'
import type { Federation } from '../federation.ts'
import { RemoteRefusal } from './client.ts'

/**
 * Asks the server of who invited an address to invite the user who has proved it.
 *
 * Spec: Server-Server API, `PUT /exchange_third_party_invite/{roomId}` (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN when it refuses; M_CONNECTION_FAILED.
 */
export async function askToExchange(
  { client }: Federation,
  roomId: RoomId,
  { sender, target, signed }: Parameters<RemoteServers['exchangeInvite']>[1],
): Promise<void> {
  try {
    await client.send(serverNameOf(sender), {
      method: 'PUT',
      uri: `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`,
      origin: serverNameOf(target),
      body: {
        type: 'm.room.member',
        room_id: roomId,
        sender,
        state_key: target,
        content: { membership: 'invite', third_party_invite: { display_name: '', signed } },
      },
    })
  } catch (error) {
    if (!(error instanceof RemoteRefusal)) throw error
    throw new MatrixError('M_FORBIDDEN', 'The server of who invited does not take the proof')
  }
}
