import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { changeMembership, type MembershipEngine } from '../rooms/membership.ts'
import { statement } from '../storage/database.ts'

/** Spec: Client-Server API, "Profiles": sizes of fields and of the whole. */
const largestProfile = 64 * 1024
const longestKey = 255
const longestDisplayName = 256
const longestAvatarUrl = 1000

const saveProfile = statement<never>(
  'save profile',
  `insert into profiles (user_nid, fields) values ($1, $2)
   on conflict (user_nid) do update set fields = excluded.fields`,
)
const lockUser = 'select user_nid from users where user_nid = $1 for update'

/** Fields that every member event of the user repeats. */
const inMemberEvents: ReadonlySet<string> = new Set(['displayname', 'avatar_url'])

type Engine = MembershipEngine & Pick<Context, 'sessions' | 'invalidations' | 'log' | 'profileUpdates'>

/**
 * Sets a field of a user's profile, or takes it out when `value` is undefined, and shows it in the user's rooms.
 *
 * @throws MatrixError M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE, M_INVALID_PARAM
 */
export async function setProfileField(
  ctx: Engine,
  user: { readonly userId: UserId; readonly userNid: number },
  key: string,
  value: Json | undefined,
): Promise<void> {
  checkField(key, value)
  const changed = await changeFields(ctx, user, (fields) => {
    const next = new Map(Object.entries(fields))
    if (value === undefined) next.delete(key)
    else next.set(key, value)
    return Object.fromEntries(next) as JsonObject
  })
  if (!changed) return
  await ctx.profileUpdates?.changed(user.userNid, key)
  if (inMemberEvents.has(key)) await showInRooms(ctx, user)
}

function checkField(key: string, value: Json | undefined): void {
  if (Buffer.byteLength(key) > longestKey) throw new MatrixError('M_KEY_TOO_LARGE', 'The name of the field is too long')
  if (!inMemberEvents.has(key) || value === undefined) return
  if (typeof value !== 'string') throw new MatrixError('M_BAD_JSON', `${key}: expected a string`)
  const longest = key === 'displayname' ? longestDisplayName : longestAvatarUrl
  if (value.length > longest) {
    throw new MatrixError('M_INVALID_PARAM', `${key} is longer than ${longest} characters`)
  }
}

async function changeFields(
  ctx: Engine,
  user: { readonly userId: UserId; readonly userNid: number },
  change: (fields: JsonObject) => JsonObject,
): Promise<boolean> {
  const changed = await ctx.database.transaction(async (query) => {
    await query(lockUser, [user.userNid])
    const [row] = await query<{ fields: string }>('select fields from profiles where user_nid = $1', [user.userNid])
    const before = row?.fields ?? '{}'
    const after = JSON.stringify(change(JSON.parse(before) as JsonObject))
    if (Buffer.byteLength(after) > largestProfile) {
      throw new MatrixError('M_PROFILE_TOO_LARGE', 'The profile is larger than 64 KiB')
    }
    await query(saveProfile.text, [user.userNid, after])
    return after !== before
  })
  ctx.invalidations.publish('user', user.userId)
  return changed
}

/** One new member event in every joined room; the writer takes them together. */
async function showInRooms(ctx: Engine, user: { readonly userId: UserId; readonly userNid: number }): Promise<void> {
  const { rooms } = await ctx.sessions.of(user)
  const joined = [...rooms.values()].filter(({ membership }) => membership === 'join')
  const outcomes = await Promise.allSettled(
    joined.map(({ roomId }) =>
      changeMembership(ctx, roomId, { sender: user.userId, target: user.userId, membership: 'join' }),
    ),
  )
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') ctx.log.warn({ err: outcome.reason }, 'A profile is not shown in a room')
  }
}
