import {
  parseRoomId,
  parseServerName,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../src/matrix/ids.ts'
import type { Json } from '../../src/matrix/json.ts'
import type { RemoteServers } from '../../src/rooms/ports.ts'
import type { Federation } from '../federation.ts'
import { askToExchange } from './ask-to-exchange.ts'
import { createFillGap } from './fill-gap.ts'
import { fetchHistoryAt } from './history-at.ts'
import { inviteRemoteUser } from './invite-remote-user.ts'
import { joinRemoteRoom } from './join-remote-room.ts'
import { createRemoteHierarchy } from './remote-hierarchy.ts'
import { askForPublicRooms } from './remote-public-rooms.ts'
import { sendOwnMembership } from './send-own-membership.ts'

const mostVia = 20

/** What `src/rooms` asks of other servers. What they answer is read for what we need, and passed on in words of ours. */
export function createRemoteServers(federation: Federation): RemoteServers {
  const { client } = federation
  const fillGap = createFillGap(federation)
  const ask = async (origin: ServerName, server: ServerName, uri: string) => {
    try {
      return await client.send(server, { method: 'GET', uri, origin, timeout: 10_000 })
    } catch {
      return undefined
    }
  }
  return {
    isOn: true,
    reaches: (server) => federation.allowList.allows(server, 'sending'),
    join: (roomId: RoomId, userId: UserId, via, content) => joinRemoteRoom(federation, roomId, userId, via, content),
    knock: (...wanted) => sendOwnMembership(federation, 'knock', ...wanted),
    leave: (...wanted) => sendOwnMembership(federation, 'leave', ...wanted),
    invite: (...wanted) => inviteRemoteUser(federation, ...wanted),
    recommend: (event, rules, policy) =>
      federation.policyServers.recommend(event, rules, policy, serverNameOf(event.pdu.sender)),
    exchangeInvite: (...wanted) => askToExchange(federation, ...wanted),
    fillGap,
    async resolveAlias(alias, asker) {
      const uri = `/_matrix/federation/v1/query/directory?room_alias=${encodeURIComponent(alias)}`
      const answer = await ask(asker, serverNameOf(alias), uri)
      const roomId = typeof answer?.room_id === 'string' ? parseRoomId(answer.room_id) : undefined
      const listed = Array.isArray(answer?.servers) ? answer.servers.slice(0, mostVia) : []
      const servers = listed.flatMap((one: Json) => (typeof one === 'string' ? (parseServerName(one) ?? []) : []))
      return roomId && { roomId, servers: [serverNameOf(alias), ...servers] }
    },
    publicRooms: (...wanted) => askForPublicRooms(federation, ...wanted),
    hierarchy: createRemoteHierarchy(federation),
    fetchHistoryAt: (...wanted) => fetchHistoryAt(federation, fillGap, ...wanted),
    async profile(userId, asker) {
      const uri = `/_matrix/federation/v1/query/profile?user_id=${encodeURIComponent(userId)}`
      const told = await ask(asker, serverNameOf(userId), uri)
      // Clients rely on these being texts.
      const isShowable = ([name, value]: [string, unknown]): boolean =>
        (name !== 'displayname' && name !== 'avatar_url') || typeof value === 'string'
      return told && Object.fromEntries(Object.entries(told as { [name: string]: Json }).filter(isShowable))
    },
  }
}
