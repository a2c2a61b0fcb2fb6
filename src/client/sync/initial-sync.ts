import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import type { RoomId, UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { clientEvent } from '../../rooms/client-event.ts'
import { remoteMembershipsIn } from '../../rooms/remote-memberships.ts'
import { publishedAmong } from '../../rooms/room-directory.ts'
import { filterOf } from '../../sync/filters.ts'
import type { Session, UserRoom } from '../../sync/session.ts'
import { isElsewhere } from '../../sync/stripped-state.ts'
import { buildSync } from '../../sync/sync.ts'
import { formatTimelineToken, parseSyncToken } from '../../sync/token.ts'

type Events = { readonly events: readonly JsonObject[] }
type SyncedRoom = {
  readonly timeline: Events & { readonly limited: boolean; readonly prev_batch: string }
  readonly state_after: Events
  readonly account_data: Events
}
type Synced = {
  readonly next_batch: string
  readonly rooms?: {
    readonly join?: { readonly [roomId: RoomId]: SyncedRoom }
    readonly leave?: { readonly [roomId: RoomId]: SyncedRoom }
    readonly invite?: { readonly [roomId: RoomId]: unknown }
  }
  readonly presence?: Events
  readonly account_data?: Events
}

const nobodyTold = { told: () => false, tell() {} }

/**
 * Everything of a user at once: a first sync, told as it was before there was `/sync`.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/initialSync`, deprecated (v1.19).
 */
export const initialSync = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/initialSync', '/_matrix/client/r0/initialSync'],
  auth: 'user',
  query: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    archived: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
  }),
  async handle(ctx, { query, requester }) {
    const { userId, userNid, deviceId = '', domain } = requester
    const reader = { userId, userNid, deviceId, domain }
    const timeline = query.limit === undefined ? {} : { timeline: { limit: query.limit } }
    const filter = JSON.stringify({ room: { include_leave: query.archived === 'true', ...timeline } })
    const session = await ctx.sessions.of(reader)
    const { fragments } = await buildSync(
      ctx,
      session,
      {
        reader,
        since: undefined,
        filter: await filterOf(ctx, userNid, filter),
        fullState: false,
        stateStyle: 'state_after',
      },
      nobodyTold,
    )
    const synced = JSON.parse(fragments.join('')) as Synced
    const end = formatTimelineToken(parseSyncToken(synced.next_batch).position)
    const { join = {}, leave = {}, invite = {} } = synced.rooms ?? {}
    const roomOf = new Map([...session.rooms.values()].map((room) => [room.roomId, room]))
    const within = Object.entries({ ...join, ...leave }) as [RoomId, SyncedRoom][]
    const known = within.flatMap(([roomId]) => roomOf.get(roomId) ?? [])
    const published = await publishedAmong(
      ctx,
      known.map(({ room }) => room),
      domain,
    )
    const invited = (Object.keys(invite) as RoomId[]).flatMap((roomId) => roomOf.get(roomId) ?? [])
    return {
      end,
      rooms: [
        ...within.map(([roomId, synced]) => {
          const room = roomOf.get(roomId)
          const visibility = room && published.has(room.room) ? 'public' : 'private'
          return { ...roomInfo(roomId, synced, end), membership: room?.membership ?? 'leave', visibility }
        }),
        ...(await inviteInfos(ctx, session, invited)),
      ],
      presence: synced.presence?.events ?? [],
      account_data: synced.account_data?.events ?? [],
    }
  },
})

function roomInfo(roomId: RoomId, { timeline, state_after: state, account_data: data }: SyncedRoom, end: string) {
  const named = (event: JsonObject): JsonObject => ({ ...event, room_id: roomId })
  return {
    room_id: roomId,
    messages: {
      ...(timeline.limited && { start: timeline.prev_batch }),
      end,
      chunk: timeline.events.map(named),
    },
    state: state.events.map(named),
    account_data: data.events,
  }
}

/** Rooms that the user is invited to, with the whole event that says so. */
async function inviteInfos(ctx: Context, { userId }: Session, rooms: readonly UserRoom[]) {
  const elsewhere = await remoteMembershipsIn(
    ctx,
    userId,
    rooms.filter(isElsewhere).map(({ room }) => room),
  )
  const now = ctx.clock.now()
  return Promise.all(
    rooms.map(async ({ room, roomId }) => {
      const event = elsewhere.get(room)?.event ?? (await ownMembership(ctx, roomId, userId))
      return {
        room_id: roomId,
        membership: 'invite',
        ...(event && { invite: clientEvent({ event }, { now, roomId }) }),
      }
    }),
  )
}

async function ownMembership({ hotRooms }: Pick<Context, 'hotRooms'>, roomId: RoomId, userId: UserId) {
  const room = await hotRooms.get(roomId)
  await (room && hotRooms.load(room, [['m.room.member', userId]]))
  return room?.get('m.room.member', userId)
}
