import type { Endpoint } from '../../http/endpoint.ts'
import {
  deleteAccountDataPerRoom,
  deleteGlobalAccountData,
  getAccountDataPerRoom,
  getGlobalAccountData,
  setAccountDataPerRoom,
  setGlobalAccountData,
} from './account-data.ts'
import { deleteRoomTag, getRoomTags, setRoomTag } from './tags.ts'

/** Spec: Client-Server API, "Client Config", "Room Tagging". */
export const userDataEndpoints: readonly Endpoint[] = [
  setGlobalAccountData,
  getGlobalAccountData,
  setAccountDataPerRoom,
  getAccountDataPerRoom,
  deleteGlobalAccountData,
  deleteAccountDataPerRoom,
  getRoomTags,
  setRoomTag,
  deleteRoomTag,
]
