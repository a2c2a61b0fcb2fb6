import type { Person } from './person.ts'

/** Whose presence changed lately in a room, so that a reader need not look at everybody. */
type Room = {
  readonly people: Set<Person>
  /** Oldest first. */
  readonly changes: { readonly counter: number; readonly person: Person }[]
  /** Every change after this counter is in `changes`. */
  completeAfter: number
}

const changesPerRoom = 200

/** Where people are seen. */
export type PresenceRooms = {
  add(room: number, person: Person): void
  remove(room: number, person: Person): void
  note(room: number, person: Person): void
  in(room: number): ReadonlySet<Person>
  /** Who in a room changed after a counter; undefined: everybody of whom something is known. */
  changedIn(room: number, after: number | undefined): Iterable<Person>
}

export function createPresenceRooms(): PresenceRooms {
  const rooms = new Map<number, Room>()
  const nobody: ReadonlySet<Person> = new Set()
  return {
    add(nid, person) {
      const room = rooms.get(nid)
      if (room) room.people.add(person)
      else rooms.set(nid, { people: new Set([person]), changes: [], completeAfter: 0 })
    },
    remove(nid, person) {
      const room = rooms.get(nid)
      room?.people.delete(person)
      if (room?.people.size === 0) rooms.delete(nid)
    },
    note(nid, person) {
      const room = rooms.get(nid)
      if (!room) return
      room.changes.push({ counter: person.counter, person })
      if (room.changes.length > changesPerRoom) room.completeAfter = room.changes.shift()!.counter
    },
    in: (nid) => rooms.get(nid)?.people ?? nobody,
    *changedIn(nid, after) {
      const room = rooms.get(nid)
      if (!room) return
      if (after === undefined || after < room.completeAfter) {
        yield* room.people
        return
      }
      for (let index = room.changes.length - 1; index >= 0; index--) {
        const { counter, person } = room.changes[index]!
        if (counter <= after) return
        if (room.people.has(person)) yield person
      }
    },
  }
}
