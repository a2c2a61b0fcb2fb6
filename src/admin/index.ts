import { audited } from '../http/audited.ts'
import type { Endpoint } from '../http/endpoint.ts'
import * as destinations from './destinations.ts'
import { getAudit } from './get-audit.ts'
import * as mediaRemoval from './media/delete-media.ts'
import { getQuarantineChanges } from './media/get-quarantine-changes.ts'
import * as mediaUse from './media/quarantine-media.ts'
import * as tokens from './registration-tokens.ts'
import * as reports from './reports.ts'
import * as roomChanges from './rooms/change-rooms.ts'
import * as roomDeletion from './rooms/delete-room.ts'
import * as roomList from './rooms/list-rooms.ts'
import * as history from './rooms/purge-history.ts'
import * as roomReading from './rooms/read-rooms.ts'
import * as notices from './send-server-notice.ts'
import * as server from './server-state.ts'
import * as userList from './users/list-users.ts'
import * as userChanges from './users/modify-user.ts'
import * as redaction from './users/redact-user.ts'
import * as restrictions from './users/restrict-users.ts'
import * as userDetails from './users/user-details.ts'
import * as userDevices from './users/user-devices.ts'
import * as userRights from './users/user-rights.ts'

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'authenticate' in value
}

/** Everything that administrators may call: the API that the ecosystem's tools know from Synapse, and the audit trail. */
export const adminEndpoints: readonly Endpoint[] = [
  { getAudit, getQuarantineChanges },
  userList,
  userChanges,
  restrictions,
  userDetails,
  userDevices,
  userRights,
  redaction,
  tokens,
  roomList,
  roomReading,
  roomChanges,
  roomDeletion,
  history,
  reports,
  mediaUse,
  mediaRemoval,
  destinations,
  notices,
  server,
].flatMap((module) => Object.values<unknown>(module).filter(isEndpoint).map(audited))
