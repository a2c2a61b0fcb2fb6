import type { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { upTo } from '../storage/caches.ts'

/** What this process remembers of messages to devices, so that one to a known device needs no read. */
export type SentToDevice = {
  /** Transactions under way, and those that ended lately. What is not in memory any more is known to the database. */
  readonly underWay: Map<string, Promise<void>>
  readonly ended: LRUCache<string, 1>
  /**
   * Devices of our users that were there when last looked: there may be more. Of one that is gone since another process may hear a
   * moment later; what is sent to it meanwhile is not stored.
   */
  readonly devices: LRUCache<UserId, KnownDevices>
}

export type KnownDevices = { readonly userNid: number; readonly deviceIds: ReadonlySet<string> }

const transactionsInMemory = 20_000
const usersInMemory = 20_000

export function createSentToDevice({ caches, invalidations }: Pick<Context, 'caches' | 'invalidations'>): SentToDevice {
  const devices = caches.lru<UserId, KnownDevices>('devices sent to', upTo(usersInMemory))
  invalidations.subscribe('user', (userId) => {
    if (userId === undefined) devices.clear()
    else devices.delete(userId as UserId)
  })
  return {
    underWay: new Map(),
    ended: caches.lru<string, 1>('ended transactions to devices', upTo(transactionsInMemory)),
    devices,
  }
}
