import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { deletePusherOf, deletePushersOfOthers, type PusherRow, pushersOfUser, savePusher } from '../storage/pushers.ts'
import { unreadOf } from './unread.ts'

type User = { readonly userNid: number; readonly deviceId: string | undefined }

export type PusherSettings = {
  readonly appId: string
  readonly pushkey: string
  readonly kind: string
  readonly appDisplayName: string
  readonly deviceDisplayName: string
  readonly profileTag: string | undefined
  readonly lang: string
  readonly data: JsonObject
  readonly enabled: boolean
  /** Whether other users keep their pushers at that address. */
  readonly append: boolean
}

/**
 * Makes a pusher, or changes the one the user has at that address. It goes with the device that set it.
 *
 * Spec: Client-Server API, `POST /pushers/set` (v1.19).
 *
 * @throws MatrixError M_INVALID_PARAM, M_MISSING_PARAM, M_THREEPID_NOT_FOUND
 */
export async function setPusher(
  ctx: Pick<Context, 'database' | 'clock' | 'config' | 'pushing' | 'invalidations'>,
  user: User,
  settings: PusherSettings,
): Promise<void> {
  const kind = ctx.pushing.kind(settings.kind)
  if (!kind) throw new MatrixError('M_INVALID_PARAM', `Pushers of the kind ${settings.kind} are not known here`)
  await kind.check(settings, user)
  const { appId, pushkey } = settings
  const taken = settings.append ? [] : await ctx.database.read(deletePushersOfOthers, [user.userNid, appId, pushkey])
  await ctx.database.read(savePusher, [
    user.userNid,
    user.deviceId ?? null,
    appId,
    pushkey,
    settings.kind,
    settings.appDisplayName,
    settings.deviceDisplayName,
    settings.profileTag ?? null,
    settings.lang,
    JSON.stringify(settings.data),
    settings.enabled,
    ctx.clock.now(),
    await unreadOf(ctx, user.userNid),
  ])
  for (const nid of [user.userNid, ...taken.map((row) => row.user_nid)]) ctx.invalidations.publish('pushers', `${nid}`)
}

export async function deletePusher(
  ctx: Pick<Context, 'database' | 'invalidations'>,
  user: Pick<User, 'userNid'>,
  address: { readonly appId: string; readonly pushkey: string },
): Promise<void> {
  await ctx.database.read(deletePusherOf, [user.userNid, address.appId, address.pushkey])
  ctx.invalidations.publish('pushers', `${user.userNid}`)
}

export function pushersOf(ctx: Pick<Context, 'database'>, user: Pick<User, 'userNid'>): Promise<readonly PusherRow[]> {
  return ctx.database.read(pushersOfUser, [user.userNid])
}
