import type { UserId } from '../matrix/ids.ts'
import { type Caches, upTo } from './caches.ts'
import { type Database, statement } from './database.ts'

/** What an event is: its type and, for a state event, its state key. */
export type EventKind = { readonly type: string; readonly stateKey: string | undefined }

/**
 * The numbers ("nids") that stand for text ids inside the database, in both directions, with what was used lately in
 * memory. A number once given never changes, so a cached one is never wrong.
 */
export type Dictionaries = {
  /** Gives numbers to those that have none yet. */
  internUsers(userIds: readonly UserId[]): Promise<Map<UserId, number>>
  /** The numbers of those that have one. */
  findUsers(userIds: readonly UserId[]): Promise<Map<UserId, number>>
  userIds(nids: Iterable<number>): Promise<Map<number, UserId>>
  /** Gives numbers to those that have none yet. Keys of the answer are `kindKey`s. */
  internKinds(kinds: readonly EventKind[]): Promise<Map<string, number>>
  findKinds(kinds: readonly EventKind[]): Promise<Map<string, number>>
  kinds(kinds: Iterable<number>): Promise<Map<number, EventKind>>
  /** From memory alone. */
  cachedUser(userId: UserId): number | undefined
  cachedKind(key: string): number | undefined
  cachedUserId(nid: number): UserId | undefined
  cachedKindOf(kind: number): EventKind | undefined
}

const cachedUsers = 200_000
const cachedKinds = 200_000

/** A key that is different for different kinds: no type contains NUL, since PostgreSQL cannot store it. */
export function kindKey(type: string, stateKey: string | undefined): string {
  return stateKey === undefined ? type : `${type}\0${stateKey}`
}

type UserRow = { user_nid: number; user_id: UserId }
type KindRow = { kind: number; type: string; state_key: string | null }

const selectUsersById = statement<UserRow>(
  'users by id',
  'select user_nid, user_id from users where user_id = any($1::text[])',
)
const selectUsersByNid = statement<UserRow>(
  'users by nid',
  'select user_nid, user_id from users where user_nid = any($1::int[])',
)
const insertUsers = statement<UserRow>(
  'insert users',
  `insert into users (user_id) select distinct unnest($1::text[]) on conflict do nothing returning user_nid, user_id`,
)
const selectKindsByKey = statement<KindRow>(
  'kinds by key',
  // In two halves, since "is not distinct from" cannot use the index.
  `select k.kind, k.type, k.state_key from unnest($1::text[], $2::text[]) as r(type, state_key)
   cross join lateral (
     select * from event_kinds where type = r.type and state_key = r.state_key
     union all
     select * from event_kinds where r.state_key is null and type = r.type and state_key is null) k`,
)
const selectKindsByNid = statement<KindRow>(
  'kinds by nid',
  'select kind, type, state_key from event_kinds where kind = any($1::int[])',
)
const insertKinds = statement<KindRow>(
  'insert kinds',
  `insert into event_kinds (type, state_key) select distinct * from unnest($1::text[], $2::text[])
   on conflict do nothing returning kind, type, state_key`,
)

export function createDictionaries(database: Pick<Database, 'read'>, caches: Pick<Caches, 'lru'>): Dictionaries {
  const nidOfUser = caches.lru<UserId, number>('users by id', upTo(cachedUsers))
  const userOfNid = caches.lru<number, UserId>('users by number', upTo(cachedUsers))
  const kindOfKey = caches.lru<string, number>('event kinds by name', upTo(cachedKinds))
  const kindOfNid = caches.lru<number, EventKind>('event kinds by number', upTo(cachedKinds))

  const rememberUsers = (rows: readonly UserRow[]): void => {
    for (const row of rows) {
      nidOfUser.set(row.user_id, row.user_nid)
      userOfNid.set(row.user_nid, row.user_id)
    }
  }
  const rememberKinds = (rows: readonly KindRow[]): void => {
    for (const row of rows) {
      const kind: EventKind = { type: row.type, stateKey: row.state_key ?? undefined }
      kindOfKey.set(kindKey(kind.type, kind.stateKey), row.kind)
      kindOfNid.set(row.kind, kind)
    }
  }

  const findUsers = async (userIds: readonly UserId[], intern: boolean): Promise<Map<UserId, number>> => {
    const found = new Map<UserId, number>()
    let missing: UserId[] = []
    for (const userId of userIds) {
      const nid = nidOfUser.get(userId)
      if (nid === undefined) missing.push(userId)
      else found.set(userId, nid)
    }
    const take = (rows: readonly UserRow[]): void => {
      rememberUsers(rows)
      for (const row of rows) found.set(row.user_id, row.user_nid)
      missing = missing.filter((userId) => !found.has(userId))
    }
    if (missing.length > 0) take(await database.read(selectUsersById, [missing]))
    if (intern && missing.length > 0) take(await database.read(insertUsers, [missing]))
    // Somebody else inserted it between the two statements.
    if (intern && missing.length > 0) take(await database.read(selectUsersById, [missing]))
    return found
  }

  const findKinds = async (kinds: readonly EventKind[], intern: boolean): Promise<Map<string, number>> => {
    const found = new Map<string, number>()
    let missing = new Map<string, EventKind>()
    for (const kind of kinds) {
      const key = kindKey(kind.type, kind.stateKey)
      const nid = kindOfKey.get(key)
      if (nid === undefined) missing.set(key, kind)
      else found.set(key, nid)
    }
    const columns = (): unknown[] => {
      const values = [...missing.values()]
      return [values.map(({ type }) => type), values.map(({ stateKey }) => stateKey ?? null)]
    }
    const take = (rows: readonly KindRow[]): void => {
      rememberKinds(rows)
      for (const row of rows) found.set(kindKey(row.type, row.state_key ?? undefined), row.kind)
      missing = new Map([...missing].filter(([key]) => !found.has(key)))
    }
    if (missing.size > 0) take(await database.read(selectKindsByKey, columns()))
    if (intern && missing.size > 0) take(await database.read(insertKinds, columns()))
    if (intern && missing.size > 0) take(await database.read(selectKindsByKey, columns()))
    return found
  }

  return {
    internUsers: (userIds) => findUsers(userIds, true),
    findUsers: (userIds) => findUsers(userIds, false),
    async userIds(nids) {
      const found = new Map<number, UserId>()
      const missing: number[] = []
      for (const nid of nids) {
        const userId = userOfNid.get(nid)
        if (userId === undefined) missing.push(nid)
        else found.set(nid, userId)
      }
      if (missing.length > 0) {
        const rows = await database.read(selectUsersByNid, [missing])
        rememberUsers(rows)
        for (const row of rows) found.set(row.user_nid, row.user_id)
      }
      return found
    },
    internKinds: (kinds) => findKinds(kinds, true),
    findKinds: (kinds) => findKinds(kinds, false),
    async kinds(nids) {
      const found = new Map<number, EventKind>()
      const missing: number[] = []
      for (const nid of nids) {
        const kind = kindOfNid.get(nid)
        if (kind === undefined) missing.push(nid)
        else found.set(nid, kind)
      }
      if (missing.length > 0) {
        const rows = await database.read(selectKindsByNid, [missing])
        rememberKinds(rows)
        for (const row of rows) found.set(row.kind, { type: row.type, stateKey: row.state_key ?? undefined })
      }
      return found
    },
    cachedUser: (userId) => nidOfUser.get(userId),
    cachedKind: (key) => kindOfKey.get(key),
    cachedUserId: (nid) => userOfNid.get(nid),
    cachedKindOf: (kind) => kindOfNid.get(kind),
  }
}
