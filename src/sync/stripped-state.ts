import { invitePermissions, judgeInvite } from '../account-data/invite-permissions.ts'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { clientEventText, strippedText } from '../rooms/client-event.ts'
import type { StateTuple } from '../rooms/hot-rooms.ts'
import { remoteMembershipsIn } from '../rooms/remote-memberships.ts'
import { strippedStateKeys } from '../rooms/shown-state.ts'
import type { RoomPlan } from './room-plan.ts'

/** Whether all that is known of the membership is what another server told: this deployment is not in the room. */
export function isElsewhere(userRoom: { readonly eventNid: number }): boolean {
  return userRoom.eventNid === 0
}

/** The event by which a user is no longer invited to a room elsewhere, or knocking there: the whole timeline. */
export async function leavesElsewhere(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'clock'>,
  plans: readonly RoomPlan[],
  userId: UserId,
): Promise<Map<number, string>> {
  const left = plans.filter(({ section, userRoom }) => section === 'leave' && isElsewhere(userRoom))
  const rooms = left.map(({ userRoom }) => userRoom.room)
  const told = await remoteMembershipsIn(ctx, userId, rooms)
  return new Map([...told].map(([room, { event }]) => [room, clientEventText({ event }, { now: ctx.clock.now() })]))
}

/** Whose invites a user does not want to see. */
async function unwantedInvites(
  ctx: Pick<Context, 'database' | 'config'>,
  plans: readonly Pick<RoomPlan, 'section'>[],
  userId: UserId,
  ignored: ReadonlySet<string>,
): Promise<(sender: UserId) => boolean> {
  if (!plans.some(({ section }) => section === 'invite')) return () => false
  const permissions = await invitePermissions(ctx, userId)
  return (sender) => ignored.has(sender) || judgeInvite(permissions, sender) !== 'allow'
}

/**
 * The stripped state of rooms the user is invited to or knocks on, as JSON texts by room. Invites by ignored users are
 * left out.
 */
export async function strippedRoomState(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'dictionaries' | 'config'>,
  plans: readonly RoomPlan[],
  userId: UserId,
  ignored: ReadonlySet<string>,
): Promise<Map<number, string[]>> {
  const texts = new Map<number, string[]>()
  const isUnwanted = await unwantedInvites(ctx, plans, userId, ignored)
  const elsewhere = plans
    .filter((plan) => plan.section !== 'leave' && isElsewhere(plan.userRoom))
    .map(({ userRoom }) => userRoom.room)
  for (const [room, { membership, event, stripped }] of await remoteMembershipsIn(ctx, userId, elsewhere)) {
    if (membership === 'invite' && isUnwanted(event.pdu.sender)) continue
    texts.set(room, [...stripped.map((one) => JSON.stringify(one)), strippedText({ event })])
  }
  for (const { section, userRoom } of plans) {
    if (isElsewhere(userRoom) || (section !== 'invite' && section !== 'knock')) continue
    const room = await ctx.hotRooms.get(userRoom.roomId)
    if (!room) continue
    await ctx.hotRooms.load(room, [...strippedStateKeys, ['m.room.member', userId]])
    const own = room.get('m.room.member', userId)
    if (own && section === 'invite' && isUnwanted(own.pdu.sender)) continue
    const inviter: StateTuple[] = own && section === 'invite' ? [['m.room.member', own.pdu.sender]] : []
    await ctx.hotRooms.load(room, inviter)
    const keys: StateTuple[] = [...strippedStateKeys, ...inviter, ['m.room.member', userId]]
    const events = new Set(keys.flatMap(([type, stateKey]) => room.get(type, stateKey) ?? []))
    texts.set(
      userRoom.room,
      [...events].map((event) => strippedText({ event })),
    )
  }
  return texts
}
