import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/joined_rooms` (v1.19). */
export const getJoinedRooms = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/joined_rooms', '/_matrix/client/r0/joined_rooms'],
  auth: 'userOrGuest',
  async handle(ctx, { requester }) {
    const { rooms } = await ctx.sessions.of(requester)
    const joined = [...rooms.values()].filter(({ membership }) => membership === 'join')
    return { joined_rooms: joined.map(({ roomId }) => roomId) }
  },
})
