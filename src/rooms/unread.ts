import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import { compiledDefaults, defaultOutcome, evaluate, namedUsers } from '../matrix/push-rules/evaluate.ts'
import { type EventFacts, eventFacts } from '../matrix/push-rules/event-facts.ts'
import { listenersIn } from './audience.ts'
import type { HotRoom } from './hot-room.ts'
import { subscribersIn } from './thread-audience.ts'

type Engine = Pick<Context, 'config' | 'dictionaries'>

/** By how much an event counts otherwise for a user than for the room: −1, 0 or 1. */
export type UnreadException = { readonly userNid: number; readonly notify: number; readonly highlight: number }

/** How an event counts for the members of a room. */
export type UnreadOutcome = {
  /** For a member whose push rules are the default ones and whom the event does not name. */
  readonly notify: boolean
  readonly highlight: boolean
  readonly exceptions: readonly UnreadException[]
}

/** Beyond these nobody is looked at who is mentioned: a message that names hundreds should say @room. */
export const mostMentions = 100

/** Whom a message names, as far as they are looked at. */
export function mentionedIn(content: JsonObject): readonly UserId[] {
  const mentions = content['m.mentions']
  if (typeof mentions !== 'object' || mentions === null || Array.isArray(mentions)) return []
  const userIds = (mentions as JsonObject).user_ids
  if (!Array.isArray(userIds)) return []
  return userIds
    .slice(0, mostMentions)
    .filter((id): id is UserId => typeof id === 'string' && id.startsWith('@') && !id.includes('\0'))
}

/** How an event counts: evaluated once for everybody, and for each of those for whom it may differ. */
export function countsAsUnread(ctx: Engine, room: HotRoom, event: RoomEvent): UnreadOutcome {
  const create = room.get('m.room.create', '')
  if (!create) return { notify: false, highlight: false, exceptions: [] }
  const powerLevels = powerLevelsOf(room.get('m.room.power_levels', '')?.pdu.content, create, room.rules)
  const facts = eventFacts(event, { roomMemberCount: room.joinedMembers, powerLevels })
  const { notify, highlight } = defaultOutcome(facts, ctx.config.experimental)
  const common = { notify, highlight }
  return { ...common, exceptions: exceptionsTo(ctx, room, facts, common) }
}

function exceptionsTo(
  ctx: Engine,
  room: HotRoom,
  facts: EventFacts,
  common: { notify: boolean; highlight: boolean },
): UnreadException[] {
  const exceptions = new Map<number, UnreadException>()
  const { sender } = facts.event.pdu
  const add = (userNid: number, own: { notify: boolean; highlight: boolean }): void => {
    const notify = Number(own.notify) - Number(common.notify)
    const highlight = Number(own.highlight) - Number(common.highlight)
    if (notify !== 0 || highlight !== 0) exceptions.set(userNid, { userNid, notify, highlight })
    else exceptions.delete(userNid)
  }
  const defaults = compiledDefaults(ctx.config.experimental)
  const subscribers = subscribersIn(room, facts.threadRoot)
  for (const userId of namedUsers(facts).slice(0, mostMentions)) {
    const userNid = ctx.dictionaries.cachedUser(userId)
    if (userNid === undefined || userId === sender || !isMember(room, userId)) continue
    add(userNid, evaluate(defaults, facts, { userId, isSubscribed: subscribers.has(userNid) }))
  }
  for (const [userNid, userId] of subscribers) {
    if (userId === sender || !isMember(room, userId)) continue
    add(userNid, evaluate(defaults, facts, { userId, isSubscribed: true }))
  }
  for (const { userNid, userId, rules, ignored } of listenersIn(room)) {
    if (userId === sender) continue
    if (ignored.has(sender)) {
      add(userNid, { notify: false, highlight: false })
      continue
    }
    const displayName = rules.usesDisplayName ? displayNameOf(room, userId) : undefined
    add(userNid, evaluate(rules, facts, { userId, displayName, isSubscribed: subscribers.has(userNid) }))
  }
  return [...exceptions.values()]
}

function isMember(room: HotRoom, userId: UserId): boolean {
  return room.get('m.room.member', userId)?.pdu.content.membership === 'join'
}

function displayNameOf(room: HotRoom, userId: UserId): string | undefined {
  const name = room.get('m.room.member', userId)?.pdu.content.displayname
  return typeof name === 'string' ? name : undefined
}

/** What is unread: messages that notify, and those of them that highlight. */
export type UnreadCounts = { readonly notify: number; readonly highlight: number }

/** What a user's count in a room is made of. */
export type UnreadRoom = {
  readonly readNotifyIndex: number
  readonly readHighlightIndex: number
  /** Exceptions up to the time of loading. */
  readonly earlier: UnreadCounts
  /** Those that came since. */
  readonly later: readonly (UnreadException & { readonly position: number })[]
}

/** The unread counts of a user in a room whose counters are given, threads included. */
export function unreadCounts(
  userRoom: UnreadRoom,
  room: { readonly notifyCount: number; readonly highlightCount: number },
): UnreadCounts {
  let notify = room.notifyCount - userRoom.readNotifyIndex + userRoom.earlier.notify
  let highlight = room.highlightCount - userRoom.readHighlightIndex + userRoom.earlier.highlight
  for (const exception of userRoom.later) {
    notify += exception.notify
    highlight += exception.highlight
  }
  return { notify, highlight }
}
