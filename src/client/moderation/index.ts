import type { Requester } from '../../accounts/requesters.ts'
import { audited, auditedForAdministrators } from '../../http/audited.ts'
import type { Endpoint } from '../../http/endpoint.ts'
import { getWhoIs } from './get-who-is.ts'
import { reportEvent, reportRoom, reportUser } from './report-content.ts'
import { getAdminLockUser, getAdminSuspendUser, setAdminLockUser, setAdminSuspendUser } from './restrict-user.ts'

/** Spec: Client-Server API, "Reporting content", "Server administration". */
export const moderationEndpoints: readonly Endpoint[] = [
  reportRoom,
  reportEvent,
  reportUser,
  auditedForAdministrators(getWhoIs, ({ params, requester }) => params.userId === (requester as Requester).userId),
  ...[getAdminSuspendUser, setAdminSuspendUser, getAdminLockUser, setAdminLockUser].map(audited),
]
