import { type TSchema, Type } from '@sinclair/typebox'
import { MAX_SLIDING_ELEMENTS, MAX_SLIDING_LISTS, MAX_SLIDING_NAME } from '../../matrix/limits.ts'

/** What the two forms of a sliding sync's request have in common. */

/** Clients write null where they mean nothing. */
export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Optional(Type.Union([schema, Type.Null()]))
}

export const timelineLimit = Type.Integer({ minimum: 0 })
const index = Type.Integer({ minimum: 0 })
export const range = Type.Tuple([index, index])

const texts = nullable(Type.Array(Type.String(), { maxItems: MAX_SLIDING_ELEMENTS }))
const roomTypes = nullable(Type.Array(Type.Union([Type.String(), Type.Null()]), { maxItems: MAX_SLIDING_ELEMENTS }))
export const listFilters = {
  is_dm: nullable(Type.Boolean()),
  spaces: texts,
  is_encrypted: nullable(Type.Boolean()),
  room_types: roomTypes,
  not_room_types: roomTypes,
  room_name_like: nullable(Type.String()),
  tags: texts,
  not_tags: texts,
}

const names = nullable(Type.Array(Type.String(), { maxItems: MAX_SLIDING_ELEMENTS }))
const extension = nullable(Type.Object({ enabled: nullable(Type.Boolean()), lists: names, rooms: names }))

export function commonBody<List extends TSchema, Room extends TSchema>(list: List, room: Room) {
  return Type.Object({
    conn_id: nullable(Type.String({ maxLength: MAX_SLIDING_NAME })),
    lists: nullable(
      Type.Record(Type.String({ maxLength: MAX_SLIDING_NAME }), list, { maxProperties: MAX_SLIDING_LISTS }),
    ),
    room_subscriptions: nullable(Type.Record(Type.String(), room)),
    extensions: nullable(Type.Record(Type.String(), extension)),
  })
}
