import type { RoomEvent } from '../event.ts'

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

/** The state an event is checked against, as far as authorisation asks for it. */
export type AuthState = {
  get(type: string, stateKey: string): RoomEvent | undefined
}

export const ALLOW: Verdict = { allowed: true }

export function reject(reason: string): Verdict {
  return { allowed: false, reason }
}
