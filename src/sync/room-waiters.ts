import type { Context } from '../context.ts'

/** Who waits for something to happen in a room without being in it. */
export type RoomWaiters = {
  /** Those of a room, woken by its events; to be looked up for each wait. */
  of(room: number): Set<() => void>
}

export function createRoomWaiters(ctx: Pick<Context, 'stream'>): RoomWaiters {
  const byRoom = new Map<number, Set<() => void>>()
  ctx.stream.follow((facts) => {
    if (byRoom.size === 0) return
    for (const fact of facts) {
      const waiters = fact.kind === 'event' ? byRoom.get(fact.stored.room) : undefined
      for (const wake of waiters ?? []) wake()
    }
  })
  return {
    of(room) {
      let waiters = byRoom.get(room)
      if (!waiters) byRoom.set(room, (waiters = new ForgottenWhenEmpty(() => byRoom.delete(room))))
      return waiters
    },
  }
}

/** So that nothing is left of rooms in which somebody waited once. */
class ForgottenWhenEmpty extends Set<() => void> {
  readonly #forget: () => void

  constructor(forget: () => void) {
    super()
    this.#forget = forget
  }

  override delete(waiter: () => void): boolean {
    const isDeleted = super.delete(waiter)
    if (this.size === 0) this.#forget()
    return isDeleted
  }
}
