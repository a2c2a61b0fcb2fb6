import type { EventId, RoomId, ServerName } from '../../src/matrix/ids.ts'

/** What a thread that checks events is asked, and answers. */

/** Events of a room to be read: their texts one after the other, and where each ends. */
export type ReadTask = {
  readonly task: number
  readonly roomId: RoomId
  readonly roomVersion: string
  readonly texts: Uint8Array
  readonly ends: Uint32Array
}

/** Who has to have signed an event, by which keys it says it did, and when. */
export type ReadEvent = {
  readonly eventId: EventId
  readonly at: number
  readonly signers: readonly { readonly server: ServerName; readonly keyIds: readonly string[] }[]
}
export type ReadAnswer = { readonly task: number; readonly events: readonly (ReadEvent | undefined)[] }

/** The keys, by `keyName`. */
export type VerifyTask = {
  readonly task: number
  readonly keys: ReadonlyMap<string, { readonly publicKey: Uint8Array; readonly validUntil: number }>
}

/** `changed`: it is signed, but what it hashes is another content, so it counts in its redacted form. */
export type CheckedAs = 'good' | 'changed' | 'bad'
export type VerifyAnswer = { readonly task: number; readonly checked: readonly CheckedAs[] }

/** What `VerifyTask` names a key by. */
export function keyName(server: ServerName, keyId: string): string {
  return `${server} ${keyId}`
}
