import type { Endpoint } from '../../http/endpoint.ts'
import { getWhoIs } from './get-who-is.ts'
import { reportEvent, reportRoom, reportUser } from './report-content.ts'
import { getAdminLockUser, getAdminSuspendUser, setAdminLockUser, setAdminSuspendUser } from './restrict-user.ts'

/** Spec: Client-Server API, "Reporting content", "Server administration". */
export const moderationEndpoints: readonly Endpoint[] = [
  reportRoom,
  reportEvent,
  reportUser,
  getWhoIs,
  getAdminSuspendUser,
  setAdminSuspendUser,
  getAdminLockUser,
  setAdminLockUser,
]
