import type { RoomId } from '../src/matrix/ids.ts'

/** Rooms that are being joined by this process: what other servers send about them is taken in afterwards. */
export type Joining = {
  during<Answer>(roomId: RoomId, joining: Promise<Answer>): Promise<Answer>
  /** Resolves when no join of the room is under way, whether they succeeded or not. */
  ended(roomId: RoomId): Promise<void>
}

export function createJoining(): Joining {
  const underWay = new Map<RoomId, Set<Promise<unknown>>>()
  return {
    async during(roomId, joining) {
      const ofRoom = underWay.get(roomId) ?? new Set()
      underWay.set(roomId, ofRoom.add(joining))
      try {
        return await joining
      } finally {
        ofRoom.delete(joining)
        if (ofRoom.size === 0 && underWay.get(roomId) === ofRoom) underWay.delete(roomId)
      }
    },
    async ended(roomId) {
      await Promise.allSettled(underWay.get(roomId) ?? [])
    },
  }
}
