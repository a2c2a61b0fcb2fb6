import type { Endpoint } from '../../http/endpoint.ts'
import { claimKeys } from './claim-keys.ts'
import { deleteRoomKeyBySessionId } from './delete-room-key-by-session-id.ts'
import { deleteRoomKeys } from './delete-room-keys.ts'
import { deleteRoomKeysByRoomId } from './delete-room-keys-by-room-id.ts'
import { deleteRoomKeysVersion } from './delete-room-keys-version.ts'
import { getKeysChanges } from './get-keys-changes.ts'
import { getRoomKeyBySessionId } from './get-room-key-by-session-id.ts'
import { getRoomKeys } from './get-room-keys.ts'
import { getRoomKeysByRoomId } from './get-room-keys-by-room-id.ts'
import { getRoomKeysVersion } from './get-room-keys-version.ts'
import { getRoomKeysVersionCurrent } from './get-room-keys-version-current.ts'
import { postRoomKeysVersion } from './post-room-keys-version.ts'
import { putRoomKeyBySessionId } from './put-room-key-by-session-id.ts'
import { putRoomKeys } from './put-room-keys.ts'
import { putRoomKeysByRoomId } from './put-room-keys-by-room-id.ts'
import { putRoomKeysVersion } from './put-room-keys-version.ts'
import { queryKeys } from './query-keys.ts'
import { uploadCrossSigningKeys } from './upload-cross-signing-keys.ts'
import { uploadCrossSigningSignatures } from './upload-cross-signing-signatures.ts'
import { uploadKeys } from './upload-keys.ts'

/** Spec: Client-Server API, "End-to-End Encryption". */
export const keyEndpoints: readonly Endpoint[] = [
  uploadKeys,
  queryKeys,
  claimKeys,
  getKeysChanges,
  uploadCrossSigningKeys,
  uploadCrossSigningSignatures,
  postRoomKeysVersion,
  getRoomKeysVersionCurrent,
  getRoomKeysVersion,
  putRoomKeysVersion,
  deleteRoomKeysVersion,
  putRoomKeys,
  getRoomKeys,
  deleteRoomKeys,
  putRoomKeysByRoomId,
  getRoomKeysByRoomId,
  deleteRoomKeysByRoomId,
  putRoomKeyBySessionId,
  getRoomKeyBySessionId,
  deleteRoomKeyBySessionId,
]
