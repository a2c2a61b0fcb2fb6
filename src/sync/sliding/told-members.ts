/**
 * The members that a connection's client has been told of, for lazy loading. In memory alone: whoever is forgotten is told
 * again, which does no harm. What an answer tells counts only once its token comes back.
 */
export type ToldMembersOfConnection = {
  /** The answers with this number came, and later ones did not. */
  acknowledge(answer: number): void
  told(room: number, userId: string): boolean
  /**
   * What an answer tells: members by room.
   *
   * @param gaps Rooms in which the client must forget what it was told.
   */
  tell(answer: number, members: ReadonlyMap<number, readonly string[]>, gaps: ReadonlySet<number>): void
}

const mostMembers = 50_000

export function createToldMembers(): ToldMembersOfConnection {
  let rooms = new Map<number, Set<string>>()
  let size = 0
  let pending:
    | { answer: number; members: ReadonlyMap<number, readonly string[]>; gaps: ReadonlySet<number> }
    | undefined

  const forget = (room: number): void => {
    size -= rooms.get(room)?.size ?? 0
    rooms.delete(room)
  }
  return {
    acknowledge(answer) {
      const came = pending
      pending = undefined
      if (answer === 0) {
        rooms = new Map()
        size = 0
      }
      if (came?.answer !== answer) return
      for (const room of came.gaps) forget(room)
      for (const [room, userIds] of came.members) {
        const users = rooms.get(room) ?? new Set()
        rooms.set(room, users)
        size -= users.size
        for (const userId of userIds) users.add(userId)
        size += users.size
      }
      for (const room of rooms.keys()) {
        if (size <= mostMembers) break
        forget(room)
      }
    },
    told: (room, userId) => rooms.get(room)?.has(userId) ?? false,
    tell(answer, members, gaps) {
      pending = { answer, members, gaps }
    },
  }
}
