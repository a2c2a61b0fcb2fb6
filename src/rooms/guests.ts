import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import { membershipCodes } from '../storage/room-users.ts'
import type { Fact } from '../storage/stream.ts'
import { allowsGuests, guestAccess, guestForbidden } from './guest-access.ts'
import { leaveRoom } from './leave-room.ts'

/** Guests who are in rooms, with the `m.room.guest_access` of each; of one room where `$1` names it. */
const guestsInRooms = statement<{ user_id: UserId; room_id: RoomId; content: string | null }>(
  'guests in rooms',
  `select u.user_id, r.room_id, e.content
   from accounts a join users u using (user_nid) join room_users ru using (user_nid) join rooms r on r.room = ru.room
   left join room_state s on s.room = ru.room and s.to_position is null and s.kind = (
     select kind from event_kinds where type = '${guestAccess}' and state_key = '')
   left join events e on e.event_nid = s.event_nid
   where a.is_guest and ru.membership = ${membershipCodes.join} and ($1::int is null or ru.room = $1)`,
)

/**
 * Refuses a guest a room that does not say that guests may join, before anything is done for it; the join itself is held against
 * the state that it is written on. What a room of other servers says is not known before one is in it, so that guests stay out
 * of those.
 *
 * Spec: Client-Server API, "Guest Access", "Server behaviour".
 *
 * @throws MatrixError M_GUEST_ACCESS_FORBIDDEN
 */
export async function refuseGuest(ctx: Pick<Context, 'hotRooms'>, roomId: RoomId): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  await (room && ctx.hotRooms.load(room, [[guestAccess, '']]))
  if (!allowsGuests(room?.get(guestAccess, '')?.pdu.content)) throw guestForbidden()
}

/** Takes guests out of rooms that do not let guests in any more: one process for all. */
export type GuestRemoval = {
  start(ctx: Context): void
  /** Resolves when what was begun is done. */
  close(): Promise<void>
}

export function createGuestRemoval(base: Pick<Context, 'closing' | 'ownership' | 'stream'>): GuestRemoval {
  let started = false
  /** Whoever owns it looks at one change after the other. */
  let looking: Promise<void> | undefined
  return {
    start(ctx) {
      if (started) return
      started = true
      const look = (room: number | null): void => {
        looking = (looking ?? Promise.resolve())
          .then(() => removeGuests(ctx, room))
          .catch((error: unknown) => ctx.log.error({ err: error }, 'Guests are left in rooms'))
      }
      base.stream.follow((facts) => {
        if (looking === undefined || base.closing.aborted) return
        for (const fact of facts) if (changesGuestAccess(fact)) look(fact.stored.room)
      })
      base.ownership.claim('guests', (lost) => {
        lost.addEventListener('abort', () => {
          looking = undefined
        })
        // What changed while nobody looked.
        look(null)
      })
    },
    close: async () => looking,
  }
}

function changesGuestAccess(fact: Fact): fact is Extract<Fact, { kind: 'event' }> {
  return fact.kind === 'event' && fact.changes.some(({ type, stateKey }) => type === guestAccess && stateKey === '')
}

async function removeGuests(ctx: Context, room: number | null): Promise<void> {
  for (const { user_id: userId, room_id: roomId, content } of await ctx.database.read(guestsInRooms, [room])) {
    if (ctx.closing.aborted) return
    if (content !== null && allowsGuests(JSON.parse(content) as JsonObject)) continue
    await leaveRoom(ctx, roomId, userId, undefined).catch((error: unknown) => {
      if (!(error instanceof MatrixError)) throw error
      ctx.log.warn({ roomId, userId, errcode: error.errcode }, 'A guest could not leave a room')
    })
  }
}
