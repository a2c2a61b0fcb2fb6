import { accountData } from './account-data.ts'
import { e2ee } from './e2ee.ts'
import type { Extension } from './extension.ts'
import { receipts } from './receipts.ts'
import { stickyEvents } from './sticky-events.ts'
import { threadSubscriptions } from './thread-subscriptions.ts'
import { toDevice } from './to-device.ts'
import { typing } from './typing.ts'

/** The extensions that a sliding sync has, in the order in which it tells of them. */
export const extensions: readonly Extension[] = [
  toDevice,
  e2ee,
  accountData,
  receipts,
  typing,
  threadSubscriptions,
  stickyEvents,
]
