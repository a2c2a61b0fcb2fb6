import { expect } from 'vitest'
import { authTypesFor } from '../src/matrix/auth-rules/index.ts'
import { knownEvent, type Pdu, type RoomEvent } from '../src/matrix/event.ts'
import { buildEvent } from '../src/matrix/event-format.ts'
import { eventIdOf, referenceHash } from '../src/matrix/hashes.ts'
import type { EventId, RoomId, UserId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { type RoomRules, roomRules } from '../src/matrix/room-versions.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import { type FederatedServerOptions, startFederatedServer } from './federated-server.fixtures.ts'
import {
  type Addressed,
  type AskedOfHostile,
  type HostileAnswer,
  type HostileServer,
  startHostileServer,
} from './hostile-server.fixtures.ts'
import { sees, via } from './two-servers.fixtures.ts'

export type Forged = {
  readonly type?: string
  readonly content?: JsonObject
  readonly stateKey?: string
  readonly sender?: UserId
  readonly prev?: readonly RoomEvent[]
  readonly auth?: readonly RoomEvent[]
  readonly depth?: number
  readonly originServerTs?: number
  /** Members of the event in place of what they should be; undefined leaves one out. */
  readonly over?: { readonly [name: string]: unknown }
}

/** A room as a hostile server that is in it knows it. */
export class HostileRoom {
  readonly hostile: HostileServer
  readonly roomId: RoomId
  readonly rules: RoomRules
  /** The state that events are built on; a test may put anything there. */
  readonly state = new Map<string, RoomEvent>()
  /** What the next event follows. */
  ends: readonly RoomEvent[] = []

  constructor(hostile: HostileServer, roomId: RoomId, rules: RoomRules) {
    this.hostile = hostile
    this.roomId = roomId
    this.rules = rules
  }

  user(localpart = 'mallory'): UserId {
    return `@${localpart}:${this.hostile.name}`
  }

  eventOf(pdu: Pdu): RoomEvent {
    return knownEvent(pdu, eventIdOf(pdu, this.rules), this.rules)
  }

  at(type: string, stateKey = ''): RoomEvent {
    return this.state.get(`${type}\0${stateKey}`)!
  }

  take(events: readonly RoomEvent[]): void {
    for (const event of events) {
      if (event.pdu.state_key !== undefined) this.state.set(`${event.pdu.type}\0${event.pdu.state_key}`, event)
    }
  }

  /** An event of a user of the hostile server, in its right place unless told otherwise. */
  build(forged: Forged = {}): RoomEvent {
    const { type = 'm.room.message', sender = this.user(), stateKey, prev = this.ends, over } = forged
    const content = forged.content ?? { msgtype: 'm.text', body: 'hostile' }
    const auth = forged.auth ?? this.#authFor(type, sender, stateKey, content)
    const draft = {
      type,
      sender,
      roomId: this.roomId,
      content,
      ...(stateKey !== undefined && { stateKey }),
      originServerTs: forged.originServerTs ?? Date.now(),
      depth: forged.depth ?? 1 + Math.max(0, ...prev.map(({ pdu }) => pdu.depth)),
      prevEvents: prev.map(({ eventId }) => eventId),
      authEvents: auth.map(({ eventId }) => eventId),
      ...(this.rules.eventFormat === 'v1' && {
        eventIdLocalpart: this.hostile.localpart(),
        hashesOf: new Map([...prev, ...auth].map((one) => [one.eventId, referenceHash(one.pdu, this.rules)] as const)),
      }),
    }
    const { json: _json, ...event } = buildEvent(draft, this.rules, this.hostile.name, this.hostile.key)
    if (over === undefined) return event
    const changed = Object.entries({ ...event.pdu, ...over }).filter(([, value]) => value !== undefined)
    return this.hostile.stamp(Object.fromEntries(changed) as JsonObject, this.rules)
  }

  #authFor(type: string, sender: UserId, stateKey: string | undefined, content: JsonObject): RoomEvent[] {
    const draft = { type, sender, content, ...(stateKey !== undefined && { state_key: stateKey }) }
    return authTypesFor(draft as unknown as Pdu, this.rules).flatMap(
      ([of, key]) => this.state.get(`${of}\0${key}`) ?? [],
    )
  }

  /** Sends an event, and goes on from it. */
  async push(to: Addressed, event: RoomEvent): Promise<Answer> {
    const answer = await this.hostile.send(to, [event.pdu])
    this.take([event])
    this.ends = [event]
    return answer[event.eventId]
  }
}

/** Joins as a user of the hostile server. */
export async function joinHostile(
  hostile: HostileServer,
  to: Addressed,
  roomId: RoomId,
  localpart = 'mallory',
  version: 'v1' | 'v2' = 'v2',
): Promise<HostileRoom> {
  const { rules, join, answer } = await sendJoin(hostile, to, roomId, { localpart, version })
  const room = new HostileRoom(hostile, roomId, rules)
  room.take(answer.state.map((pdu: Pdu) => room.eventOf(pdu)))
  room.take([join])
  room.ends = [join]
  return room
}

/** Both steps of a join, and what is answered to it. */
export async function sendJoin(
  hostile: HostileServer,
  to: Addressed,
  roomId: RoomId,
  {
    localpart = 'mallory',
    version = 'v2',
    query = '',
  }: { localpart?: string; version?: 'v1' | 'v2'; query?: string } = {},
): Promise<{ rules: RoomRules; join: RoomEvent; answer: Answer }> {
  const place = encodeURIComponent(roomId)
  const userId = `@${localpart}:${hostile.name}`
  const versions = Array.from({ length: 12 }, (_, index) => `ver=${index + 1}`).join('&')
  const uri = `/_matrix/federation/v1/make_join/${place}/${encodeURIComponent(userId)}?${versions}`
  const made = await hostile.request(to, 'GET', uri)
  expect(made.status, JSON.stringify(made.body)).toBe(200)
  const rules = roomRules(made.body.room_version)!
  const template = { ...made.body.event, origin_server_ts: Date.now() }
  if (rules.eventFormat === 'v1') template.event_id = `$${hostile.localpart()}:${hostile.name}`
  const join = hostile.stamp(template, rules)
  const send = `/_matrix/federation/${version}/send_join/${place}/${encodeURIComponent(join.eventId)}${query}`
  const joined = await hostile.request(to, 'PUT', send, { body: join.pdu })
  expect(joined.status, JSON.stringify(joined.body)).toBe(200)
  return { rules, join, answer: version === 'v1' ? joined.body[1] : joined.body }
}

/** Our server with two users, an honest server with one, and a hostile one with one, in a room. */
export async function attackedRoom(
  roomOptions: object = {},
  federation: object = {},
  options: FederatedServerOptions = {},
) {
  const home = await startFederatedServer(federation, options)
  const honest = await startFederatedServer()
  const hostile = await startHostileServer()
  const [alice, bob, carol] = [await home.register('alice'), await home.register('bob'), await honest.register('carol')]
  const open = async (more: object = {}): Promise<{ roomId: RoomId; room: HostileRoom }> => {
    const roomId = await alice.createRoom({ preset: 'public_chat', ...roomOptions, ...more })
    await bob.join(roomId)
    await carol.post(`/join/${encodeURIComponent(roomId)}?via=${via(home)}`)
    return { roomId, room: await joinHostile(hostile, home, roomId) }
  }
  const { roomId, room } = await open()
  let count = 0
  return {
    home,
    honest,
    hostile,
    alice,
    bob,
    carol,
    roomId,
    room,
    open,
    /** Our server answers, and what is said in a room is heard by everybody in it. */
    async stillWorks(of: RoomId = roomId, readers: readonly TestClient[] = [bob, carol]): Promise<void> {
      expect((await home.request('GET', '/_matrix/client/versions')).status).toBe(200)
      const body = `still here ${++count}`
      await alice.send(of, 'm.room.message', { msgtype: 'm.text', body })
      for (const reader of readers) await sees(reader, of, body)
    },
    /** Whether a user can see an event by any way there is. */
    async isSeen(eventId: EventId, by: TestClient = alice, of: RoomId = roomId): Promise<boolean> {
      const place = `/rooms/${encodeURIComponent(of)}`
      const single = await by.attempt('get', `${place}/event/${encodeURIComponent(eventId)}`)
      const { chunk } = await by.get(`${place}/messages?dir=b&limit=100`)
      const { rooms } = await by.sync()
      const told: Answer[] = [...chunk, ...(rooms?.join?.[of]?.timeline?.events ?? [])]
      const state: Answer[] = await by.get(`${place}/state`)
      return single.status === 200 || [...told, ...state].some((event) => event.event_id === eventId)
    },
    async [Symbol.asyncDispose]() {
      await home[Symbol.asyncDispose]()
      await honest[Symbol.asyncDispose]()
      await hostile[Symbol.asyncDispose]()
    },
  }
}

/** A room of the hostile server's own, with everything a room needs, and what it answers to who wants to join it. */
export class HostedRoom extends HostileRoom {
  /** What is told instead of the answer to the named operation; changes of it. */
  changes: { make_join?: (answer: Answer) => unknown; send_join?: (answer: Answer) => unknown } = {}
  /** All its events, in order. */
  readonly events: RoomEvent[] = []

  /** Adds an event to the room. */
  add(forged: Forged): RoomEvent {
    const event = this.build(forged)
    this.take([event])
    this.ends = [event]
    this.events.push(event)
    return event
  }

  answerTo({ path, body }: AskedOfHostile): HostileAnswer | undefined {
    const operation = /^\/_matrix\/federation\/v\d\/(make_join|send_join)\//.exec(path)?.[1]
    if (operation === 'make_join') {
      const userId = decodeURIComponent(path.split('?')[0]!.split('/').at(-1)!) as UserId
      const template = this.build({
        type: 'm.room.member',
        stateKey: userId,
        content: { membership: 'join' },
        over: { sender: userId },
      })
      const { signatures: _signatures, hashes: _hashes, ...event } = template.pdu
      const auth = this.#joinAuth().map((one) => one.eventId)
      const answer = { room_version: this.rules.version, event: { ...event, auth_events: auth } }
      return { body: this.changes.make_join?.(answer) ?? answer }
    }
    if (operation !== 'send_join') return undefined
    const state = [...this.state.values()].map(({ pdu }) => pdu)
    const answer = { state, auth_chain: state, event: body, members_omitted: false, origin: this.hostile.name }
    const joined = this.eventOf(body)
    this.take([joined])
    this.ends = [joined]
    return { body: this.changes.send_join?.(answer) ?? answer }
  }

  #joinAuth(): RoomEvent[] {
    return [this.at('m.room.create'), this.at('m.room.power_levels'), this.at('m.room.join_rules')]
  }
}

/** A public room of version 10 on the hostile server alone. */
export function hostRoom(hostile: HostileServer, localpart = 'room'): HostedRoom {
  const room = new HostedRoom(hostile, `!${localpart}:${hostile.name}`, roomRules('10')!)
  const owner = room.user()
  room.add({ type: 'm.room.create', stateKey: '', content: { creator: owner, room_version: '10' } })
  room.add({ type: 'm.room.member', stateKey: owner, content: { membership: 'join' } })
  room.add({ type: 'm.room.power_levels', stateKey: '', content: { users: { [owner]: 100 } } })
  room.add({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } })
  return room
}
