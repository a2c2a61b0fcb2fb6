import type { RoomEvent } from '../matrix/event.ts'
import type { HotRoom } from './hot-room.ts'

/** How an event counts for the members of a room. */
export type UnreadOutcome = {
  /** For a member whose push rules are the default ones. */
  readonly notify: boolean
  readonly highlight: boolean
}

const uncounted: UnreadOutcome = { notify: false, highlight: false }
const counted: UnreadOutcome = { notify: true, highlight: false }

export function countsAsUnread(_room: HotRoom, event: RoomEvent): UnreadOutcome {
  const { type, state_key: stateKey } = event.pdu
  if (stateKey !== undefined) return uncounted
  return type === 'm.room.message' || type === 'm.room.encrypted' ? counted : uncounted
}

/** Unread counts of users in rooms. */
export type Unread = {
  of(
    session: { readonly userNid: number },
    userRoom: { readonly room: number; readonly readNotifyIndex: number; readonly readHighlightIndex: number },
    room: { readonly notifyCount: number; readonly highlightCount: number },
  ): { readonly notify: number; readonly highlight: number }
}

export function createUnread(): Unread {
  return {
    of: (_session, userRoom, room) => ({
      notify: Math.max(0, room.notifyCount - userRoom.readNotifyIndex),
      highlight: Math.max(0, room.highlightCount - userRoom.readHighlightIndex),
    }),
  }
}
