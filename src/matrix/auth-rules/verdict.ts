import type { RoomEvent } from '../event.ts'

export type Verdict =
  | { readonly allowed: true }
  /** `malformed`: the event could be in no room, whoever sent it. */
  | { readonly allowed: false; readonly reason: string; readonly malformed?: true }

/** The state an event is checked against, as far as authorisation asks for it. */
export type AuthState = {
  get(type: string, stateKey: string): RoomEvent | undefined
}

export const ALLOW: Verdict = { allowed: true }

export function reject(reason: string): Verdict {
  return { allowed: false, reason }
}

/** Rejects what is wrong in itself, and not because of who sent it when: to a client it is a bad request. */
export function rejectMalformed(reason: string): Verdict {
  return { allowed: false, reason, malformed: true }
}
