import { Type } from '@sinclair/typebox'

/** A text that PostgreSQL can store, of a length worth storing. */
export const shortText = Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })

/** The same, for what names something and so cannot be empty. */
export const name = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' })
