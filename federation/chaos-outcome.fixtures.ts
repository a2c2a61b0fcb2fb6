import { type EventId, serverNameOf, type UserId } from '../src/matrix/ids.ts'
import { eventIdBytes } from '../src/storage/event-codec.ts'
import { EventFlags } from '../src/storage/events.ts'
import type { Answer } from '../src/testing/test-client.ts'
import type { Chaos, Person, Room } from './chaos.fixtures.ts'
import { type Deployment, eventsSeen, meetAgain, stateSeen } from './deployment.fixtures.ts'
import { inDatabase, membershipAt, whereaboutsOf } from './whereabouts.fixtures.ts'

/** What was wrong once everything had calmed down. */
export type Outcome = {
  /** Rooms whose state two servers see differently. */
  readonly different: string[]
  /** Events that were acknowledged and are not where they should be. */
  readonly lost: string[]
  /** Events that a server, or every one but their own, did not let into its room, since it knew what their server did not. */
  readonly softFailed: number
  readonly twice: string[]
  /** Servers that do not agree with a room's creator whether they are in it. */
  readonly astray: string[]
  readonly compared: { readonly rooms: number; readonly views: number; readonly events: number }
}

/** Servers of a room, each with somebody who is in it as their own server and that of the creator see it. */
type Views = ReadonlyMap<Deployment, Person>

/**
 * Lets every server hear of every other, and everybody speak once more, until nobody has anything to be told.
 *
 * @param milliseconds how long it may take.
 * @returns the milliseconds it took.
 */
export async function settle(chaos: Chaos, milliseconds: number): Promise<number> {
  const begun = performance.now()
  const end = begun + milliseconds
  const oneOfEach = chaos.servers.map((server) => chaos.people.find((person) => person.server === server)!)
  for (let isSame = false; !isSame && performance.now() < end; ) {
    await meetAgain(oneOfEach.map(({ client }) => client))
    await Promise.all(chaos.people.map((person) => person.insist()))
    const rooms = await Promise.all(chaos.rooms.map((room) => speakAtOnce(chaos, room)))
    isSame = rooms.every((one) => one)
  }
  return Math.round(performance.now() - begun)
}

/** Whether everybody hears the last words of everybody before long, and sees the same state then. */
async function speakAtOnce(chaos: Chaos, room: Room): Promise<boolean> {
  const { views, strays } = await viewsOf(chaos, room)
  const people = [...views.values()]
  // Whose own server knows of a ban that the others have taken back comes again, as anybody would.
  await Promise.all(strays.map(({ person, isAtHome }) => isAtHome || person.join(room)))
  const words = await Promise.all(people.map((speaker) => speaker.say(room, true)))
  const heard = people.flatMap((listener) => words.map((word) => word !== undefined && hears(listener, room, word)))
  if ((await Promise.all(heard)).includes(false) || strays.length > 0) return false
  const states = await Promise.all(people.map(({ client }) => stateSeen(client, room.roomId)))
  return new Set(states.map((state) => JSON.stringify([...state]))).size <= 1
}

const hearsWithin = 5_000
/** Milliseconds for paging back: of a gap that nobody can fill nobody is asked again for a minute. */
const fetchesWithin = 70_000

async function hears({ client }: Person, room: Room, eventId: string): Promise<boolean> {
  const path = `/rooms/${encodeURIComponent(room.roomId)}/event/${encodeURIComponent(eventId)}`
  const end = performance.now() + hearsWithin
  while (performance.now() < end) {
    if ((await client.attempt('get', path)).status === 200) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

/** Somebody of whom their own server and the creator's say different things. */
type Stray = { readonly person: Person; readonly isAtHome: boolean }

async function viewsOf(chaos: Chaos, room: Room): Promise<{ views: Views; strays: Stray[] }> {
  const views = new Map<Deployment, Person>()
  const strays: Stray[] = []
  const path = `/rooms/${encodeURIComponent(room.roomId)}/joined_members`
  const { joined } = await room.creator.client.get(path)
  for (const person of chaos.people) {
    const { joined_rooms: own }: Answer = await person.client.get('/joined_rooms')
    const [isAtHome, isThere] = [own.includes(room.roomId), joined[person.userId] !== undefined]
    if (isAtHome !== isThere) strays.push({ person, isAtHome })
    else if (isAtHome && !views.has(person.server)) views.set(person.server, person)
  }
  return { views, strays }
}

/** Compares everything that the servers of each room have of it. */
export async function outcomeOf(chaos: Chaos): Promise<Outcome> {
  const outcome = {
    different: [] as string[],
    lost: [] as string[],
    softFailed: 0,
    twice: [] as string[],
    astray: [] as string[],
    compared: { rooms: chaos.rooms.length, views: 0, events: 0 },
  }
  for (const room of chaos.rooms) {
    const { views, strays } = await viewsOf(chaos, room)
    for (const { person, isAtHome } of strays) {
      const memberships = [person.server, room.creator.server].map((one) => membershipAt(one, room, person.userId))
      const told = `${person.userId} in ${room.roomId}: ${isAtHome} at home, ${!isAtHome} at its creator`
      outcome.astray.push(await explained(chaos, room, told, await Promise.all(memberships), person.userId))
    }
    const expected = await stateSeen(room.creator.client, room.roomId)
    for (const [server, person] of views) {
      outcome.compared.views++
      const state = await stateSeen(person.client, room.roomId)
      const keys = new Set([...expected.keys(), ...state.keys()])
      for (const key of keys) {
        if (expected.get(key) === state.get(key)) continue
        const told = `${room.roomId} ${key}: at ${server.name}, and at its creator`
        const eventIds = [state.get(key), expected.get(key)] as (EventId | undefined)[]
        outcome.different.push(await explained(chaos, room, told, eventIds, person.userId))
      }
      await compareEvents(chaos, room, server, person, outcome)
    }
  }
  await compareToDevice(chaos, outcome)
  return outcome
}

/** What is wrong, with where the events are that it is about. */
async function explained(
  { servers }: Chaos,
  { roomId }: Room,
  what: string,
  eventIds: readonly (EventId | undefined)[],
  user: UserId,
): Promise<string> {
  const ids = [...new Set(eventIds.flatMap((eventId) => eventId ?? []))]
  const whereabouts = await Promise.all(ids.map((eventId) => whereaboutsOf(servers, eventId, roomId, user)))
  return [what, ...whereabouts].join('\n  ')
}

type Findings = { lost: string[]; twice: string[]; softFailed: number; compared: { events: number } }

async function compareEvents(chaos: Chaos, room: Room, server: Deployment, person: Person, found: Findings) {
  const acknowledged = [...chaos.acknowledged.events].filter(([, one]) => one.room === room)
  found.compared.events += acknowledged.length
  const end = performance.now() + fetchesWithin
  for (;;) {
    const seen = await eventsSeen(person.client, room.roomId)
    const ids = new Set(seen)
    const missing = acknowledged.filter(([eventId]) => !ids.has(eventId))
    const flags = await flagsOf(server, missing.map(idOf))
    const absent = missing.filter(([eventId]) => !isSoftFailed(flags.get(eventId)))
    const refused = await refusedByAll(chaos, absent)
    const lost = absent.filter(([eventId]) => !refused.has(eventId))
    // A server that did not answer in time is asked again, as somebody who pages back would.
    if (lost.length > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      continue
    }
    found.softFailed += missing.length - lost.length
    for (const [eventId, { by, what }] of lost) {
      const told = `${what} by ${by} in ${room.roomId}, lost at ${server.name}`
      found.lost.push(await explained(chaos, room, told, [eventId as EventId], by))
    }
    const twice = seen.length - ids.size
    if (twice > 0) found.twice.push(`${twice} events of ${room.roomId} at ${server.name}`)
    return
  }
}

type Said = readonly [eventId: string, { readonly by: UserId }]

const idOf = ([eventId]: Said): EventId => eventId as EventId

function isSoftFailed(flags: number | undefined): boolean {
  return flags !== undefined && (flags & EventFlags.softFailed) !== 0
}

/**
 * Which of some events no server let into its room but that of who said them, though one at least got to know them: nothing
 * that the others let in follows them, so that nobody else would ever ask for them.
 */
async function refusedByAll(chaos: Chaos, said: readonly Said[]): Promise<ReadonlySet<string>> {
  const known = await Promise.all(
    chaos.servers.map(async (server) => ({ server, flags: await flagsOf(server, said.map(idOf)) })),
  )
  const isRefused = ([eventId, { by }]: Said): boolean => {
    const elsewhere = known.filter(({ server }) => server.name !== serverNameOf(by))
    const verdicts = elsewhere.flatMap(({ flags }) => flags.get(eventId) ?? [])
    return verdicts.length > 0 && verdicts.every(isSoftFailed)
  }
  return new Set(said.filter(isRefused).map(([eventId]) => eventId))
}

async function flagsOf(server: Deployment, eventIds: readonly EventId[]): Promise<ReadonlyMap<string, number>> {
  if (eventIds.length === 0) return new Map()
  return inDatabase(server, async (client) => {
    const found = new Map<string, number>()
    for (const eventId of eventIds) {
      const { rows } = await client.query('select flags from events where event_id = $1', [eventIdBytes(eventId)])
      if (rows[0]) found.set(eventId, rows[0].flags)
    }
    return found
  })
}

/** Everything that was sent to devices arrives, and once. */
async function compareToDevice(chaos: Chaos, found: { lost: string[]; twice: string[] }): Promise<void> {
  for (const person of chaos.people) {
    const expected = new Set([...chaos.acknowledged.toDevice].flatMap(([word, to]) => (to === person ? word : [])))
    const got = new Map<string, number>()
    const end = performance.now() + hearsWithin
    for (let since: string | undefined; performance.now() < end; ) {
      const sync: Answer = await person.client.sync({ timeout: 0, ...(since !== undefined && { since }) })
      const words: string[] = (sync.to_device?.events ?? []).map(({ content }: Answer) => content.word)
      for (const word of words) got.set(word, (got.get(word) ?? 0) + 1)
      if (words.length === 0 && [...expected].every((word) => got.has(word))) break
      since = sync.next_batch
    }
    for (const word of expected) if (!got.has(word)) found.lost.push(`${word}, to a device of ${person.userId}`)
    for (const [word, times] of got) if (times > 1) found.twice.push(`${word}, to a device of ${person.userId}`)
  }
}
