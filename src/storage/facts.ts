import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { StoredEvent } from './events.ts'
import type { Membership } from './room-users.ts'

/** A change of a key of a room's resolved state: `to` null when the key is gone. */
export type StateChangeFact = {
  readonly type: string
  readonly stateKey: string
  readonly kind: number
  readonly to: StoredEvent | null
}

/**
 * The room as a unit of work left it. `seen` is the version it was built on; undefined when the fact was read from the
 * database, which does not remember it.
 */
export type RoomFact = {
  readonly seen: number | undefined
  readonly version: number
  readonly extremities: readonly number[]
  readonly depth: number
  readonly notifyCount: number
  readonly highlightCount: number
  readonly joinedMembers: number
  readonly invitedMembers: number
  /** Its members are not all known yet. */
  readonly partialState: boolean
}

export type EventFact = {
  readonly kind: 'event'
  readonly position: number
  readonly roomId: string
  readonly stored: StoredEvent
  readonly changes: readonly StateChangeFact[]
  /** What it replaced, if it is a state event. */
  readonly replaced?: StoredEvent | undefined
  readonly memberships: readonly { userNid: number; membership: Membership; eventNid: number }[]
  /** The device that sent it with a transaction id. */
  readonly transaction?: { deviceId: string; txnId: string } | undefined
  /** For whom it counts otherwise than for the room. */
  readonly exceptions?: readonly { readonly userNid: number; readonly notify: number; readonly highlight: number }[]
  readonly room: RoomFact
}

export type ReceiptFact = {
  readonly kind: 'receipt'
  readonly position: number
  readonly room: number
  readonly userNid: number
  readonly receiptType: string
  readonly threadId: string
  readonly eventId: string
  /** The event's place; null where it is not shown. */
  readonly timeline: number | null
  readonly ts: number
}

/** Unread counts of a user start from here: in a room, its main timeline alone, or one of its threads. */
export type ReadFact = {
  readonly kind: 'read'
  readonly position: number
  readonly room: number
  readonly userNid: number
  readonly readPosition: number
  readonly notifyIndex: number
  readonly highlightIndex: number
  /** '' for everything, `main`, or the root of a thread. */
  readonly threadId: string
}

export type AccountDataFact = {
  readonly kind: 'accountData'
  readonly position: number
  readonly userNid: number
  /** 0: global. */
  readonly room: number
  readonly type: string
  /** JSON text. */
  readonly content: string
}

export type ToDeviceFact = {
  readonly kind: 'toDevice'
  readonly position: number
  readonly userNid: number
  readonly deviceId: string
  /** JSON text of the event. */
  readonly content: string
}

export type DeviceListFact = {
  readonly kind: 'deviceList'
  readonly position: number
  /** Whose devices or keys changed. */
  readonly userNid: number
  /** Who alone sees the change; otherwise all who share a room do. */
  readonly readerNid?: number
}

/** What one of our users is in a room that this deployment is not in: invited, knocking, or no longer so. */
export type RemoteMembershipFact = {
  readonly kind: 'remoteMembership'
  readonly position: number
  readonly room: number
  readonly roomId: RoomId
  readonly userNid: number
  readonly membership: Membership
  /** The membership event: it is stored nowhere among the events. */
  readonly event: RoomEvent
}

/** There are messages for devices of another server's users. */
export type OutgoingToDeviceFact = {
  readonly kind: 'outgoingToDevice'
  readonly position: number
  /** The domain of ours that sends, and the server. */
  readonly origin: string
  readonly server: string
}

/** A user subscribed to a thread, or does so no more (MSC4306). */
export type ThreadSubscriptionFact = {
  readonly kind: 'threadSubscription'
  readonly position: number
  readonly userNid: number
  readonly userId: UserId
  readonly room: number
  readonly root: EventId
  readonly subscribed: boolean
}

/** A user of ours changed a field of their profile (MSC4429). */
export type ProfileFact = {
  readonly kind: 'profile'
  readonly position: number
  readonly userNid: number
  readonly field: string
}

/** The members of a room that was joined without them are there. */
export type RoomCompletedFact = {
  readonly kind: 'roomCompleted'
  readonly position: number
  readonly room: number
  readonly roomId: RoomId
  /** Something that was shown of the room before turned out to be wrong. */
  readonly isCorrected: boolean
}

/** What followers of the stream are told after a commit. Each has the position it was committed at. */
export type Fact =
  | EventFact
  | ReceiptFact
  | ReadFact
  | AccountDataFact
  | ToDeviceFact
  | DeviceListFact
  | RemoteMembershipFact
  | OutgoingToDeviceFact
  | ThreadSubscriptionFact
  | ProfileFact
  | RoomCompletedFact
