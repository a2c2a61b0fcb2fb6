import { ignoredUsers } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import { type CompiledRules, compileRules } from '../matrix/push-rules/compile.ts'
import { hasOnlyDefaults, rulesetOf } from '../matrix/push-rules/default-rules.ts'
import { compiledDefaults } from '../matrix/push-rules/evaluate.ts'
import type { PushFeatures, StoredPushRules } from '../matrix/push-rules/types.ts'
import { statement } from '../storage/database.ts'
import type { Fact } from '../storage/facts.ts'
import type { HotRoom } from './hot-room.ts'

/** A joined local user whose push rules are not the default ones, or who ignores somebody. */
export type Listener = {
  readonly userNid: number
  readonly userId: UserId
  readonly rules: CompiledRules
  readonly ignored: ReadonlySet<string>
}

/**
 * Who in a room has push rules of their own. Everybody else is counted for together, so a message in a large room costs
 * one evaluation and one for each of these.
 */
export type Audiences = {
  /** Makes the audience of a room known; one statement the first time. */
  load(room: HotRoom): Promise<void> | undefined
}

type RulesRow = { user_nid: number; user_id: UserId; type: string; content: string }

const rulesInRoom = statement<RulesRow>(
  'push rules in a room',
  `select u.user_nid, us.user_id, a.type, a.content from account_data a
   join room_users u on u.user_nid = a.user_nid and u.room = $1 and u.membership = 1
   join users us on us.user_nid = a.user_nid
   where a.room = 0 and a.type in ('m.push_rules', 'm.ignored_user_list')`,
)

const rulesOfUser = statement<
  Omit<RulesRow, 'type' | 'content'> & { rules: string | null; ignored: string | null; room: number | null }
>(
  'push rules of a user and rooms',
  `select us.user_nid, us.user_id, a.content as rules, i.content as ignored, u.room from users us
   left join account_data a on a.user_nid = us.user_nid and a.room = 0 and a.type = 'm.push_rules'
   left join account_data i on i.user_nid = us.user_nid and i.room = 0 and i.type = 'm.ignored_user_list'
   left join room_users u on u.user_nid = us.user_nid and u.membership = 1
   where us.user_nid = $1`,
)

/** The same where names in what is said count: everybody has to be looked at for themselves. */
const membersInRoom = statement<Omit<RulesRow, 'type' | 'content'> & { type: string | null; content: string | null }>(
  'push rules of all members',
  `select u.user_nid, us.user_id, a.type, a.content from room_users u
   join accounts using (user_nid) join users us using (user_nid)
   left join account_data a on a.user_nid = u.user_nid and a.room = 0
     and a.type in ('m.push_rules', 'm.ignored_user_list')
   where u.room = $1 and u.membership = 1`,
)

/** Account data that decides how events count for its user. */
const decisive: ReadonlySet<string> = new Set(['m.push_rules', 'm.ignored_user_list'])

const audiences = new WeakMap<HotRoom, Map<number, Listener>>()

/** The listeners of a room whose audience was loaded. */
export function listenersIn(room: HotRoom): Iterable<Listener> {
  return audiences.get(room)?.values() ?? []
}

export function createAudiences(
  ctx: Pick<Context, 'config' | 'database' | 'domains' | 'stream' | 'hotRooms' | 'dictionaries' | 'log'>,
): Audiences {
  const features = ctx.config.experimental
  const loading = new WeakMap<HotRoom, Promise<void>>()

  const read = async (room: HotRoom): Promise<void> => {
    const rows = await ctx.database.read(features.legacy_mentions ? membersInRoom : rulesInRoom, [room.room])
    const listeners = new Map<number, Listener>()
    for (const [nid, own] of Map.groupBy(rows, (row) => row.user_nid)) {
      const content = (type: string): string | undefined => own.find((row) => row.type === type)?.content ?? undefined
      const listener = listenerOf(own[0]!, content('m.push_rules'), content('m.ignored_user_list'), features)
      if (listener) listeners.set(nid, listener)
    }
    audiences.set(room, listeners)
    loading.delete(room)
  }

  /** Somebody joined, or changed push rules: in every room in memory where they are, they are heard as they are now. */
  const update = async (userNid: number): Promise<void> => {
    const rows = await ctx.database.read(rulesOfUser, [userNid])
    const [first] = rows
    const listener = first && listenerOf(first, first.rules ?? undefined, first.ignored ?? undefined, features)
    for (const { room: nid } of rows) {
      const room = nid === null ? undefined : ctx.hotRooms.peekByNid(nid)
      const listeners = room && audiences.get(room)
      if (listener) listeners?.set(userNid, listener)
      else listeners?.delete(userNid)
    }
  }

  const follow = (fact: Fact): void => {
    if (fact.kind === 'accountData' && fact.room === 0 && decisive.has(fact.type)) refresh(fact.userNid)
    if (fact.kind !== 'event') return
    for (const { userNid, membership } of fact.memberships) {
      const room = ctx.hotRooms.peekByNid(fact.stored.room)
      const listeners = room && audiences.get(room)
      if (!listeners) continue
      if (membership !== 'join') listeners.delete(userNid)
      else if (isLocal(userNid)) refresh(userNid)
    }
  }

  const isLocal = (userNid: number): boolean => {
    const userId = ctx.dictionaries.cachedUserId(userNid)
    return userId === undefined || ctx.domains.isLocal(serverNameOf(userId))
  }

  const refresh = (userNid: number): void => {
    update(userNid).catch((error: unknown) => ctx.log.warn({ err: error }, 'Push rules could not be read'))
  }

  ctx.stream.follow((facts) => {
    for (const fact of facts) follow(fact)
  })

  return {
    load(room) {
      if (audiences.has(room)) return undefined
      let reading = loading.get(room)
      if (!reading) loading.set(room, (reading = read(room)))
      return reading
    },
  }
}

function listenerOf(
  user: { readonly user_nid: number; readonly user_id: UserId },
  rulesText: string | undefined,
  ignoredText: string | undefined,
  features: PushFeatures,
): Listener | undefined {
  const stored = rulesText === undefined ? undefined : (JSON.parse(rulesText) as StoredPushRules)
  const ignored = ignoredUsers(ignoredText, user.user_id)
  const hasOwn = features.legacy_mentions || (stored !== undefined && !hasOnlyDefaults(stored))
  if (!hasOwn && ignored.size === 0) return undefined
  const rules = hasOwn
    ? compileRules(rulesetOf(user.user_id, stored ?? {}, features), user.user_id)
    : compiledDefaults(features)
  return { userNid: user.user_nid, userId: user.user_id, rules, ignored }
}
