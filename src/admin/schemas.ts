import { type TSchema, Type } from '@sinclair/typebox'

/** Entries of a page. Ours: the largest is what tools ask for at once. */
export const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 }))

/** How many entries of a list to leave out. */
export const from = Type.Optional(Type.Integer({ minimum: 0 }))

export const dir = Type.Optional(Type.Union([Type.Literal('f'), Type.Literal('b')]))

/** A text that PostgreSQL can store. */
export const text = Type.String({ maxLength: 512, pattern: '^[^\\u0000]*$' })

export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()])
}

/** For lists whose pages are counted from the beginning. */
export function nextToken(from: number, shown: number, total: number): { next_token?: string } {
  return from + shown < total ? { next_token: String(from + shown) } : {}
}
