import { Type } from '@sinclair/typebox'

/** An event type or state key: a text that PostgreSQL can store. Its length in bytes is checked when the event is built. */
export const text255 = Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })

export const reason = Type.Optional(Type.String())
