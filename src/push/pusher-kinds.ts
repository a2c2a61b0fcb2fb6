import type { RoomEvent } from '../matrix/event.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { PushOutcome } from '../matrix/push-rules/compile.ts'
import type { HotRoom } from '../rooms/hot-room.ts'
import type { PusherRow } from '../storage/pushers.ts'

/** An event that a user's push rules say they are to be told of. */
export type PushedEvent = {
  readonly event: RoomEvent
  /** Without state when it is an invite to a room that this deployment is not in. */
  readonly room: HotRoom
  readonly userId: UserId
  /** What the user's rules say about the event. */
  readonly outcome: PushOutcome
  /** How much the user has not read. */
  readonly unread: number
}

/** What became of a push: `rejected` pushers are removed. */
export type PushResult = 'sent' | 'rejected'

/**
 * How pushers of a kind are told. Whoever has an implementation registers it with `Pushing.use`; which events are told, in
 * what order, by which process and how often it is tried is the same for all kinds.
 */
export interface PusherKind {
  /** Checks what a client sets, at once. @throws MatrixError */
  check(
    pusher: { readonly appId: string; readonly pushkey: string; readonly data: JsonObject },
    user: { readonly userNid: number },
  ): void | Promise<void>
  /** Tells of an event. @throws Error when it has to be tried again later. */
  push(pusher: PusherRow, event: PushedEvent): Promise<PushResult>
  /** Tells how much is unread now, without a new event. Absent for kinds that do not show that. */
  showUnread?(pusher: PusherRow, unread: number): Promise<PushResult>
}
