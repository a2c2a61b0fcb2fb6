import { Type } from '@sinclair/typebox'
import type { BackupState } from '../../keys/key-backups.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import type { BackedUpKeyRow, KeyBackupRow } from '../../storage/key-backups.ts'

export const versionQuery = Type.Object({ version: Type.String() })

export const ofRoom = { roomId: parseRoomId }

export function stateAnswer(state: BackupState): { count: number; etag: string } {
  return { count: state.count, etag: state.etag }
}

/** `auth_data` is stored as text. */
export function backupText(backup: KeyBackupRow): string {
  const { algorithm, auth_data: authData, key_count: count, etag, version } = backup
  return `{"algorithm":${JSON.stringify(algorithm)},"auth_data":${authData},"count":${count},"etag":"${etag}","version":"${version}"}`
}

export function keyText(key: BackedUpKeyRow): string {
  return `{"first_message_index":${key.first_message_index},"forwarded_count":${key.forwarded_count},"is_verified":${key.is_verified},"session_data":${key.session_data}}`
}

/** `{"sessions": …}` in pieces, as a backup may hold megabytes. */
export function sessionsText(keys: readonly BackedUpKeyRow[]): string[] {
  const pieces = ['{"sessions":{']
  for (const [index, key] of keys.entries()) {
    pieces.push(`${index === 0 ? '' : ','}${JSON.stringify(key.session_id)}:${keyText(key)}`)
  }
  pieces.push('}}')
  return pieces
}
