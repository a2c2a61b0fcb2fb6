import { Type } from '@sinclair/typebox'
import { parseRoomAlias, parseRoomId, type RoomAlias, type RoomId } from '../matrix/ids.ts'

export const userIdText = Type.String({ maxLength: 255, pattern: '^@[^\\u0000:]*:[^\\u0000]+$' })

export function parseRoomIdOrAlias(text: string): RoomId | RoomAlias | undefined {
  return parseRoomId(text) ?? parseRoomAlias(text)
}
