import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'

export type PresenceState = 'online' | 'unavailable' | 'offline'

/** What one device does, as the process it is connected to says; or a remote user, as the user's server says. */
export type Claim = {
  readonly state: 'online' | 'unavailable'
  /** Milliseconds since the epoch until which it is believed. */
  until: number
  /** Made in this process, which then tells other servers. */
  readonly isOurs: boolean
  /** When the other processes were told last. */
  toldAt: number
}

export type Shown = {
  readonly state: PresenceState
  readonly statusMsg: string | undefined
  readonly isActive: boolean
}

/** A user of whom something is known since this process started. */
export type Person = {
  readonly userId: UserId
  readonly userNid: number
  readonly claims: Map<string, Claim>
  statusMsg: string | undefined
  /** Milliseconds since the epoch; 0: never seen. */
  lastActive: number
  /** What was told last. */
  shown: Shown
  /** The joined rooms; undefined until they are read. */
  rooms: Set<number> | undefined
  /** Read at the moment, until `done`; `again` when a membership changed meanwhile. */
  reading: { again: boolean; done: Promise<void> } | undefined
  /** The counter at the last change. */
  counter: number
}

/** Milliseconds without doing anything after which an online user is shown as unavailable. */
const idleAfter = 300_000
/** Milliseconds for which somebody who did something is shown as active. */
const activeFor = 60_000

export function newPerson(userId: UserId, userNid: number): Person {
  const shown = { state: 'offline', statusMsg: undefined, isActive: false } as const
  const nothing = { statusMsg: undefined, rooms: undefined, reading: undefined }
  return { userId, userNid, claims: new Map(), lastActive: 0, shown, counter: 0, ...nothing }
}

/** What others see of a person: the best of what the devices say. Spec: Client-Server API, "Presence". */
export function shownOf(person: Person, now: number): Shown {
  const states = new Set([...person.claims.values()].map(({ state }) => state))
  const since = now - person.lastActive
  const isOnline = states.has('online') && since < idleAfter
  const state = isOnline ? 'online' : states.size > 0 ? 'unavailable' : 'offline'
  return { state, statusMsg: person.statusMsg, isActive: isOnline && since < activeFor }
}

export function isSame(one: Shown, other: Shown): boolean {
  return one.state === other.state && one.statusMsg === other.statusMsg && one.isActive === other.isActive
}

/** The content of `m.presence`. Spec: Client-Server API, `m.presence` (v1.19). */
export function presenceContent({ shown, lastActive }: Person, now: number): JsonObject {
  return {
    presence: shown.state,
    ...(lastActive > 0 && { last_active_ago: Math.max(0, now - lastActive) }),
    ...(shown.state !== 'offline' && { currently_active: shown.isActive }),
    ...(shown.statusMsg !== undefined && { status_msg: shown.statusMsg }),
  }
}
