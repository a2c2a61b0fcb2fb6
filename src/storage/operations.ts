import { saveRooms } from './batch.ts'
import {
  closeGaps,
  deleteMissingEvents,
  deletePendingRedactions,
  insertPendingRedactions,
  judgeEvents,
  promoteEvents,
  withdrawEvents,
} from './event-graph.ts'
import { insertEvents, insertMissingEvents, redactEvents } from './event-rows.ts'
import type { Operation } from './operation.ts'
import { insertOutgoingToDevice } from './outgoing-to-device.ts'
import { completeRooms } from './partial-rooms.ts'
import { saveProfileChanges } from './profile-changes.ts'
import { saveRemoteMemberships } from './remote-memberships.ts'
import { insertAliases, insertPublishedRooms } from './room-directory.ts'
import { closeRoomState, insertRelations, insertRooms, insertTransactions, openRoomState } from './room-state.ts'
import {
  deletePushExceptions,
  deleteThreadExceptions,
  forgetNames,
  insertPushExceptions,
  saveMemberships,
  saveReadPositions,
  saveThreadsRead,
} from './room-users.ts'
import { insertSearchableEvents } from './searchable-events.ts'
import { insertStickyEvents } from './sticky-events.ts'
import { saveThreadSubscriptions } from './thread-subscriptions.ts'
import { insertDeviceListChanges, insertToDevice, saveAccountData, saveReceipts } from './user-data.ts'

/**
 * Everything the writer can write, in the order in which a batch runs it: rooms before what is in them, since
 * what else can go wrong in one that moved comes of that; a new entry of the state before the close of the one it replaces.
 */
export const operations = [
  insertRooms,
  saveRooms,
  insertEvents,
  promoteEvents,
  judgeEvents,
  insertSearchableEvents,
  redactEvents,
  insertMissingEvents,
  deleteMissingEvents,
  closeGaps,
  insertPendingRedactions,
  deletePendingRedactions,
  openRoomState,
  closeRoomState,
  saveMemberships,
  forgetNames,
  saveRemoteMemberships,
  completeRooms,
  saveReadPositions,
  saveThreadsRead,
  deletePushExceptions,
  deleteThreadExceptions,
  insertPushExceptions,
  insertRelations,
  insertStickyEvents,
  withdrawEvents,
  insertTransactions,
  insertAliases,
  insertPublishedRooms,
  saveReceipts,
  saveAccountData,
  insertToDevice,
  insertOutgoingToDevice,
  insertDeviceListChanges,
  saveThreadSubscriptions,
  saveProfileChanges,
] as unknown as readonly Operation<never>[]
