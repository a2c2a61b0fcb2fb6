import type { Context } from '../context.ts'
import { presenceContent } from '../presence/person.ts'
import type { RoomPlan } from './room-plan.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'

/**
 * The presence of those who share a room with the reader: whoever changed since, and whoever is there in a room that is
 * told of from the beginning. JSON texts of events.
 *
 * @param since The counter of what is only in memory that the client has got to; undefined: to tell everything.
 *
 * Spec: Client-Server API, "Presence" (v1.19).
 */
export function presenceEvents(
  ctx: Pick<Context, 'presence' | 'clock'>,
  session: Session,
  plans: readonly RoomPlan[],
  { filter, since: token }: Pick<SyncRequest, 'filter' | 'since'>,
  since: number | undefined,
): string[] {
  if (!ctx.presence) return []
  const isNew = new Set(plans.filter(({ full }) => full && token !== undefined).map(({ userRoom }) => userRoom.room))
  const rooms = [...session.rooms.values()]
    .filter(({ membership }) => membership === 'join')
    .map(({ room }) => ({ room, after: isNew.has(room) ? undefined : since }))
  const now = ctx.clock.now()
  const events: string[] = []
  for (const person of ctx.presence.changed(rooms)) {
    const { userId: sender } = person
    const event = { type: 'm.presence', sender, content: presenceContent(person, now) }
    if (session.ignored.has(sender) || !(filter.presence.allows?.(event) ?? true)) continue
    events.push(JSON.stringify(event))
  }
  return events
}
