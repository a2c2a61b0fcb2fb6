import type { Endpoint } from '../../http/endpoint.ts'
import {
  deleteRoomAlias,
  getLocalAliases,
  getRoomIdByAlias,
  getRoomVisibilityOnDirectory,
  setRoomAlias,
  setRoomVisibilityOnDirectory,
} from './aliases.ts'
import { getRoomSummary } from './get-room-summary.ts'
import { getPublicRooms, queryPublicRooms } from './public-rooms.ts'

/** Spec: Client-Server API, "Room aliases", "Published room directory". */
export const directoryEndpoints: readonly Endpoint[] = [
  getRoomIdByAlias,
  setRoomAlias,
  deleteRoomAlias,
  getLocalAliases,
  getRoomVisibilityOnDirectory,
  setRoomVisibilityOnDirectory,
  getPublicRooms,
  queryPublicRooms,
  getRoomSummary,
]
