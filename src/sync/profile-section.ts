import type { Context } from '../context.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { profileChangesFor, profilesOfMembers } from '../storage/profile-changes.ts'
import type { RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'

/**
 * What a sync tells of profiles of users of ours: the fields that the client wants, as they are for who is new to it and
 * those that changed for others. Where members are loaded lazily, who is new are the senders of what is shown.
 *
 * Spec: MSC4429.
 *
 * @returns an entry for each user, as JSON text.
 */
export async function profileSection(
  ctx: Pick<Context, 'database' | 'profileUpdates'>,
  session: Session,
  request: SyncRequest,
  timelines: readonly RoomTimeline[],
  upTo: number,
): Promise<string[]> {
  const fields = request.filter.profileFields
  if (!ctx.profileUpdates || fields.length === 0) return []
  session.wantsProfiles = true
  const since = request.since?.position
  const { rooms, users } = newToClient(session, request, timelines)
  const mayHaveChanged = since !== undefined && ctx.profileUpdates.mayHave(fields, since)
  const [whole, changes] = await Promise.all([
    rooms.length + users.length === 0 ? [] : ctx.database.read(profilesOfMembers, [rooms, users]),
    mayHaveChanged ? ctx.database.read(profileChangesFor, [session.userNid, since, upTo, fields]) : [],
  ])
  const updates = new Map<string, Map<string, Json>>()
  for (const row of whole) {
    const profile = JSON.parse(row.fields) as JsonObject
    const present = fields.filter((field) => Object.hasOwn(profile, field))
    if (present.length > 0) updates.set(row.user_id, new Map(present.map((field) => [field, profile[field]!])))
  }
  for (const { user_id: userId, field, fields: text } of changes) {
    const profile = JSON.parse(text) as JsonObject
    const update = updates.get(userId) ?? new Map<string, Json>()
    // What is gone is told as null.
    updates.set(userId, update.set(field, Object.hasOwn(profile, field) ? profile[field]! : null))
  }
  return [...updates].map(([userId, update]) => {
    const text = JSON.stringify(Object.fromEntries(update))
    return `${JSON.stringify(userId)}:{"profile_updates":${text}}`
  })
}

/** Whose profile the client cannot have yet: rooms of which all members are meant, and users by themselves. */
function newToClient(
  session: Session,
  { filter, since }: SyncRequest,
  timelines: readonly RoomTimeline[],
): { rooms: number[]; users: number[] } {
  const rooms: number[] = []
  const users = new Set<number>(since === undefined ? [session.userNid] : [])
  for (const { plan, events } of timelines) {
    if (plan.section !== 'join') continue
    const isNew = since === undefined || plan.isRejoined
    if (isNew && !filter.state.lazyLoadMembers) rooms.push(plan.userRoom.room)
    for (const { event, senderNid } of events) {
      const { type, content } = event.pdu
      if (isNew || (type === 'm.room.member' && content.membership === 'join')) users.add(senderNid)
    }
  }
  return { rooms, users: [...users] }
}
