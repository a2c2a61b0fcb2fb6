import type { Context } from '../../context.ts'
import { externalIdsOf, type ListedUser } from '../../storage/admin-users.ts'
import { threepidsOf } from '../../storage/threepids.ts'

/** A user in a list. */
export function listedUserAnswer(user: ListedUser) {
  return {
    name: user.user_id,
    is_guest: user.is_guest,
    admin: user.is_admin,
    user_type: user.user_type,
    deactivated: user.deactivated_at !== null,
    erased: user.erased,
    shadow_banned: false,
    displayname: user.displayname,
    avatar_url: user.avatar_url,
    creation_ts: user.created_at,
    last_seen_ts: user.last_seen_at,
    approved: true,
    locked: user.locked,
    suspended: user.suspended,
  }
}

/** A user alone, with the moments that tools expect in seconds. */
export async function userAnswer(ctx: Pick<Context, 'database'>, user: ListedUser) {
  const [threepids, externalIds] = await Promise.all([
    threepidsOf(ctx.database.db, user.user_nid),
    externalIdsOf(ctx.database.db, user.user_nid),
  ])
  return {
    ...listedUserAnswer(user),
    creation_ts: Math.floor(user.created_at / 1000),
    appservice_id: null,
    consent_version: user.terms_version,
    consent_server_notice_sent: null,
    consent_ts: null,
    threepids,
    external_ids: externalIds,
  }
}
