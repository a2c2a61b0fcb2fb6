import { auditedForAdministrators } from '../../http/audited.ts'
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
  auditedForAdministrators(deleteRoomAlias),
  getLocalAliases,
  getRoomVisibilityOnDirectory,
  auditedForAdministrators(setRoomVisibilityOnDirectory),
  getPublicRooms,
  queryPublicRooms,
  getRoomSummary,
]
