import type { Endpoint } from '../../http/endpoint.ts'
import { createRoom } from './create-room.ts'
import { getEventByTimestamp } from './get-event-by-timestamp.ts'
import { getEventContext } from './get-event-context.ts'
import { getJoinedMembersByRoom } from './get-joined-members-by-room.ts'
import { getMembersByRoom } from './get-members-by-room.ts'
import { getOneEvent } from './get-one-event.ts'
import { getOneRoomEvent } from './get-one-room-event.ts'
import { getRelatingEvents } from './get-relating-events.ts'
import { getRoomEvents } from './get-room-events.ts'
import { getRoomState } from './get-room-state.ts'
import { getRoomStateWithKey } from './get-room-state-with-key.ts'
import { getThreadRoots } from './get-thread-roots.ts'
import { redactEvent } from './redact-event.ts'
import { roomInitialSync } from './room-initial-sync.ts'
import { sendMessage } from './send-message.ts'
import { setRoomStateWithKey } from './set-room-state-with-key.ts'
import { upgradeRoom } from './upgrade-room.ts'

/** Spec: Client-Server API, "Rooms": creating them, getting events of them, sending events to them. */
export const roomEndpoints: readonly Endpoint[] = [
  createRoom,
  sendMessage,
  redactEvent,
  setRoomStateWithKey,
  getRoomStateWithKey,
  getRoomState,
  getMembersByRoom,
  getJoinedMembersByRoom,
  getOneRoomEvent,
  getOneEvent,
  getEventContext,
  getRoomEvents,
  getRelatingEvents,
  getThreadRoots,
  getEventByTimestamp,
  upgradeRoom,
  roomInitialSync,
]
