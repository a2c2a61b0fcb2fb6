import type { Endpoint } from '../../http/endpoint.ts'
import {
  deleteRoomAlias,
  getLocalAliases,
  getRoomIdByAlias,
  getRoomVisibilityOnDirectory,
  setRoomAlias,
  setRoomVisibilityOnDirectory,
} from './aliases.ts'

/** Spec: Client-Server API, "Room aliases", "Published room directory". */
export const directoryEndpoints: readonly Endpoint[] = [
  getRoomIdByAlias,
  setRoomAlias,
  deleteRoomAlias,
  getLocalAliases,
  getRoomVisibilityOnDirectory,
  setRoomVisibilityOnDirectory,
]
