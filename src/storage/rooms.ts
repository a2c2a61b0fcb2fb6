import type { RoomId } from '../matrix/ids.ts'
import { statement } from './database.ts'

export type RoomRow = {
  room: number
  room_id: RoomId
  room_version: string
  version: number
  extremities: number[]
  notify_count: number
  highlight_count: number
  joined_members: number
  invited_members: number
  depth: number
  partial_state: boolean
}

const columns = `room, room_id, room_version, version, extremities, notify_count, highlight_count, joined_members,
  invited_members, depth, partial_state`

export const roomById = statement<RoomRow>('room by id', `select ${columns} from rooms where room_id = $1`)

export const roomsByNid = statement<RoomRow>('rooms by nid', `select ${columns} from rooms where room = any($1::int[])`)

export const roomVersionNumber = statement<{ version: number }>(
  'version of a room',
  'select version from rooms where room = $1',
)

/** A number for a room that is about to be created. */
export const nextRoom = statement<{ room: number }>(
  'next room',
  `select nextval(pg_get_serial_sequence('rooms', 'room')) as room`,
)
