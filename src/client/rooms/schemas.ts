import { Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { parseRoomAlias, parseRoomId, type RoomAlias, type RoomId } from '../../matrix/ids.ts'
import { MAX_STICKY_MS } from '../../matrix/limits.ts'

/** An event type or state key: a text that PostgreSQL can store. Its length in bytes is checked when the event is built. */
export const text255 = Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })

export const reason = Type.Optional(Type.String())

/** A user id; its grammar is checked where it matters, so that users with historical ids can be kicked and banned. */
export const userIdText = Type.String({ maxLength: 255, pattern: '^@[^\\u0000:]*:[^\\u0000]+$' })

export function parseRoomIdOrAlias(text: string): RoomId | RoomAlias | undefined {
  return parseRoomId(text) ?? parseRoomAlias(text)
}

/** An event type in a path: whatever its length, which is checked in bytes when the event is built. */
export function parseType(text: string): string | undefined {
  return text !== '' && !text.includes('\0') ? text : undefined
}

export function parseStateKey(text: string): string | undefined {
  return text.includes('\0') ? undefined : text
}

const longestTransactionId = 255

export function parseTransactionId(text: string): string | undefined {
  return text !== '' && text.length <= longestTransactionId && !text.includes('\0') ? text : undefined
}

/**
 * When an event was sent, if an application service says so; others have no say in it.
 *
 * Spec: Application Service API, "Timestamp massaging" (v1.19).
 */
export function timestampOf(requester: Requester, query: { readonly ts?: number }): { originServerTs?: number } {
  return requester.service !== undefined && query.ts !== undefined ? { originServerTs: query.ts } : {}
}

/** Milliseconds for which an event is sticky. Spec: MSC4354. */
export const stickyQuery = {
  'org.matrix.msc4354.sticky_duration_ms': Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_STICKY_MS })),
}

/** What a request says of it; nothing where there are no sticky events. */
export function stickinessOf(
  { config }: Pick<Context, 'config'>,
  query: { readonly 'org.matrix.msc4354.sticky_duration_ms'?: number },
): { stickyMs?: number } {
  const stickyMs = query['org.matrix.msc4354.sticky_duration_ms']
  return config.experimental.msc4354 && stickyMs !== undefined ? { stickyMs } : {}
}

/** Milliseconds after which an event is sent. Spec: MSC4140. */
export const delayQuery = { 'org.matrix.msc4140.delay': Type.Optional(Type.Integer({ minimum: 1 })) }
