import { type RawBuilder, sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import { type Db, statement } from './database.ts'

/** An account as administrators see it. */
export type ListedUser = {
  user_nid: number
  user_id: UserId
  is_admin: boolean
  is_guest: boolean
  locked: boolean
  suspended: boolean
  erased: boolean
  user_type: string | null
  terms_version: string | null
  created_at: number
  deactivated_at: number | null
  last_seen_at: number | null
  displayname: string | null
  avatar_url: string | null
}

const columns = `a.user_nid, u.user_id, a.is_admin, a.is_guest, a.locked, a.suspended, a.erased, a.user_type,
  a.terms_version, a.created_at, a.deactivated_at,
  (select max(last_seen_at) from devices d where d.user_nid = a.user_nid) as last_seen_at,
  json_text(p.fields, 'displayname') as displayname, json_text(p.fields, 'avatar_url') as avatar_url`

const source = 'from accounts a join users u using (user_nid) left join profiles p using (user_nid)'

export const listedUser = statement<ListedUser>('a listed user', `select ${columns} ${source} where u.user_id = $1`)

/** What a list of users can be ordered by. */
export const userOrders = {
  name: 'u.user_id',
  is_guest: 'a.is_guest',
  admin: 'a.is_admin',
  user_type: 'a.user_type',
  deactivated: 'a.deactivated_at is not null',
  // There are none.
  shadow_banned: 'false',
  displayname: `json_text(p.fields, 'displayname')`,
  avatar_url: `json_text(p.fields, 'avatar_url')`,
  creation_ts: 'a.created_at',
  last_seen_ts: '(select max(last_seen_at) from devices d where d.user_nid = a.user_nid)',
  locked: 'a.locked',
} as const

export type UserFilter = {
  readonly userId: string | undefined
  readonly name: string | undefined
  readonly guests: boolean
  readonly admins: boolean | undefined
  /** undefined: whether or not. */
  readonly deactivated: boolean | undefined
  readonly locked: boolean | undefined
  readonly notUserTypes: readonly string[]
}

export type Page = { readonly from: number; readonly limit: number; readonly backwards: boolean }

export async function listUsers(
  db: Db,
  filter: UserFilter,
  page: Page & { readonly order: keyof typeof userOrders },
): Promise<{ users: ListedUser[]; total: number }> {
  const where = sql.join(conditions(filter), sql` and `)
  const direction = sql.raw(page.backwards ? 'desc nulls last' : 'asc nulls first')
  const [{ rows: users }, { rows: counted }] = await Promise.all([
    sql<ListedUser>`select ${sql.raw(columns)} ${sql.raw(source)} where ${where}
      order by ${sql.raw(userOrders[page.order])} ${direction}, u.user_id limit ${page.limit} offset ${page.from}`.execute(
      db,
    ),
    sql<{ count: number }>`select count(*) as count ${sql.raw(source)} where ${where}`.execute(db),
  ])
  return { users, total: counted[0]!.count }
}

function conditions(filter: UserFilter): RawBuilder<unknown>[] {
  const found: RawBuilder<unknown>[] = [sql`true`]
  if (filter.userId !== undefined) found.push(sql`strpos(lower(u.user_id), lower(${filter.userId})) > 0`)
  if (filter.name !== undefined) {
    found.push(sql`(strpos(lower(split_part(u.user_id, ':', 1)), lower(${filter.name})) > 0
      or strpos(lower(json_text(p.fields, 'displayname')), lower(${filter.name})) > 0)`)
  }
  if (!filter.guests) found.push(sql`not a.is_guest`)
  if (filter.admins !== undefined) found.push(sql`a.is_admin = ${filter.admins}`)
  if (filter.deactivated !== undefined) found.push(sql`(a.deactivated_at is not null) = ${filter.deactivated}`)
  if (filter.locked !== undefined) found.push(sql`a.locked = ${filter.locked}`)
  for (const type of filter.notUserTypes) {
    found.push(type === '' ? sql`a.user_type is not null` : sql`a.user_type is distinct from ${type}`)
  }
  return found
}

export async function updateUserType(db: Db, userNid: number, userType: string | null): Promise<void> {
  await db.updateTable('accounts').set({ user_type: userType }).where('user_nid', '=', userNid).execute()
}

/** Null: the limit is that of everybody. */
export async function updateMessageLimit(
  db: Db,
  userNid: number,
  limit: { messages_per_second: number; messages_burst_count: number } | null,
): Promise<void> {
  const columns = limit ?? { messages_per_second: null, messages_burst_count: null }
  await db.updateTable('accounts').set(columns).where('user_nid', '=', userNid).execute()
}

export function messageLimitOf(db: Db, userNid: number) {
  return db
    .selectFrom('accounts')
    .select(['messages_per_second', 'messages_burst_count'])
    .where('user_nid', '=', userNid)
    .executeTakeFirstOrThrow()
}

/** Makes an account that was ended one that can be used again. */
export async function reactivate(db: Db, userNid: number): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ deactivated_at: null, erased: false })
    .where('user_nid', '=', userNid)
    .execute()
}

export async function markErased(db: Db, userNid: number): Promise<void> {
  await db.updateTable('accounts').set({ erased: true }).where('user_nid', '=', userNid).execute()
}

export async function allowCrossSigningReset(db: Db, userNid: number, until: number): Promise<void> {
  await db.updateTable('accounts').set({ cross_signing_reset_until: until }).where('user_nid', '=', userNid).execute()
}

export const hasMasterKey = statement<{ public_key: string }>(
  'master key of a user',
  `select public_key from cross_signing_keys where user_nid = $1 and usage = 'master'`,
)

/** Whether the user may replace their cross-signing keys as things are. */
export const crossSigningReset = statement<{ until: number | null }>(
  'cross-signing reset',
  'select cross_signing_reset_until as until from accounts where user_nid = $1',
)

export const joinedRoomIds = statement<{ room_id: string }>(
  'ids of joined rooms',
  'select room_id from room_users join rooms using (room) where user_nid = $1 and membership = 1 order by room_id',
)

export const membershipsOfUser = statement<{ room_id: string; membership: number }>(
  'memberships of a user',
  'select room_id, membership from room_users join rooms using (room) where user_nid = $1 and not forgotten',
)

export const accountDataOfUser = statement<{ room_id: string | null; type: string; content: string }>(
  'account data of a user',
  `select room_id, type, content from account_data left join rooms using (room)
   where user_nid = $1 order by room, type`,
)

/**
 * Events by which somebody invited others since a moment, and rooms joined since. Both look into the rooms that the user has had
 * to do with, whose state has an index.
 */
export const invitesSent = statement<{ count: number }>(
  'invites sent',
  `select count(*) as count from room_users u join events e on e.room = u.room and e.flags & 1 = 1
     join event_kinds k using (kind)
   where u.user_nid = $1 and e.sender = $1 and e.origin_server_ts >= $2 and k.type = 'm.room.member'
     and json_text(e.content, 'membership') = 'invite'`,
)
export const roomsJoinedSince = statement<{ count: number }>(
  'rooms joined since',
  `select count(distinct s.room) as count from room_users m join users u using (user_nid)
     join event_kinds k on k.type = 'm.room.member' and k.state_key = u.user_id
     join room_state s on s.room = m.room and s.kind = k.kind join events e on e.event_nid = s.event_nid
   where m.user_nid = $1 and e.sender = $1 and e.origin_server_ts >= $2
     and json_text(e.content, 'membership') = 'join'`,
)

export async function externalIdsOf(
  db: Db,
  userNid: number,
): Promise<{ auth_provider: string; external_id: string }[]> {
  const rows = await db
    .selectFrom('external_ids')
    .select(['provider', 'external_id'])
    .where('user_nid', '=', userNid)
    .execute()
  return rows.map((row) => ({ auth_provider: row.provider, external_id: row.external_id }))
}

/** @throws the database's unique violation when another user has one of them. */
export async function replaceExternalIds(
  db: Db,
  userNid: number,
  ids: readonly { auth_provider: string; external_id: string }[],
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.deleteFrom('external_ids').where('user_nid', '=', userNid).execute()
    for (const { auth_provider: provider, external_id } of ids) {
      await tx.insertInto('external_ids').values({ provider, external_id, user_nid: userNid }).execute()
    }
  })
}

export const userOfExternalId = statement<{ user_id: UserId }>(
  'user of an external id',
  'select user_id from external_ids join users using (user_nid) where provider = $1 and external_id = $2',
)

/** Events of a user in a room below a position that still say something, newest first. */
export const redactableEvents = statement<{ event_nid: number; timeline: number }>(
  'redactable events of a user',
  `select e.event_nid, e.timeline from events e join event_kinds k using (kind)
   where e.room = $1 and e.sender = $2 and e.timeline < $3 and e.redacted_by is null and k.state_key is null
     and k.type <> 'm.room.redaction' order by e.timeline desc limit $4`,
)
