import type { StoredEvent } from './events.ts'
import type { Membership } from './room-users.ts'

/** A change of a key of a room's resolved state, as numbers: `to` null when the key is gone. */
export type StateChangeFact = {
  readonly type: string
  readonly stateKey: string
  readonly kind: number
  readonly to: StoredEvent | null
}

/** What followers of the stream are told after a commit. Each has the position it was committed at. */
export type Fact =
  | {
      readonly kind: 'event'
      readonly position: number
      readonly roomId: string
      readonly stored: StoredEvent
      readonly changes: readonly StateChangeFact[]
      /** What it replaced, if it is a state event. */
      readonly replaced: StoredEvent | undefined
      readonly memberships: readonly { userNid: number; membership: Membership; eventNid: number }[]
      /** The device that sent it with a transaction id. */
      readonly transaction: { deviceId: string; txnId: string } | undefined
      readonly room: {
        readonly version: number
        readonly notifyCount: number
        readonly highlightCount: number
        readonly joinedMembers: number
        readonly invitedMembers: number
      }
    }
  | {
      readonly kind: 'receipt'
      readonly position: number
      readonly room: number
      readonly userNid: number
      readonly receiptType: string
      readonly threadId: string
      readonly eventId: string
      readonly ts: number
    }
  | {
      readonly kind: 'read'
      readonly position: number
      readonly room: number
      readonly userNid: number
      readonly readPosition: number
      readonly notifyIndex: number
      readonly highlightIndex: number
    }
  | {
      readonly kind: 'accountData'
      readonly position: number
      readonly userNid: number
      /** 0: global. */
      readonly room: number
      readonly type: string
      /** JSON text. */
      readonly content: string
    }
  | {
      readonly kind: 'toDevice'
      readonly position: number
      readonly userNid: number
      readonly deviceId: string
      /** JSON text of the event. */
      readonly content: string
    }
  | { readonly kind: 'deviceList'; readonly position: number; readonly userNid: number }

/**
 * The stream of what was committed. Followers hear of every fact exactly once, in order of position; the position rises
 * after they have.
 */
export type Stream = {
  /** Everything up to here has been told to the followers. */
  readonly position: number
  follow(follower: (facts: readonly Fact[], position: number) => void): void
  /** Called by the writer after each of its commits. */
  committed(commit: { first: number; last: number; facts: readonly unknown[] }): void
  /** Asks the database for what other processes committed, and resolves when that has been told. */
  catchUp(): Promise<void>
  /** Resolves when the position has been reached. */
  reached(position: number): Promise<void>
}

export function createStream(start: number): Stream {
  let position = start
  const followers: ((facts: readonly Fact[], position: number) => void)[] = []
  let waiters: { position: number; resolve: () => void }[] = []

  const advance = (last: number, facts: readonly Fact[]): void => {
    position = last
    for (const follower of followers) follower(facts, last)
    if (waiters.length === 0) return
    const ready = waiters.filter((waiter) => waiter.position <= last)
    waiters = waiters.filter((waiter) => waiter.position > last)
    for (const waiter of ready) waiter.resolve()
  }

  return {
    get position() {
      return position
    },
    follow(follower) {
      followers.push(follower)
    },
    committed({ last, facts }) {
      advance(last, facts as readonly Fact[])
    },
    catchUp: () => Promise.resolve(),
    reached(wanted) {
      if (wanted <= position) return Promise.resolve()
      return new Promise((resolve) => waiters.push({ position: wanted, resolve }))
    },
  }
}
