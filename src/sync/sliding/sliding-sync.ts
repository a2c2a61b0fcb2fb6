import type { Context } from '../../context.ts'
import { type Connections, createConnections } from './connections.ts'
import { createRoomActivity, type RoomActivity } from './room-activity.ts'
import { createTraitsOfRooms, type TraitsOfRooms } from './room-traits.ts'

/** What sliding sync remembers. */
export type SlidingParts = {
  readonly activity: RoomActivity
  readonly traits: TraitsOfRooms
  readonly connections: Connections
}

export function createSlidingSync(ctx: Pick<Context, 'database' | 'caches' | 'dictionaries' | 'stream'>): SlidingParts {
  return {
    activity: createRoomActivity(ctx),
    traits: createTraitsOfRooms(ctx),
    connections: createConnections(ctx),
  }
}
