import { createHash } from 'node:crypto'
import { authTypesFor, checkAuth, checkAuthEvents } from '../matrix/auth-rules/index.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { createEventIdOf } from '../matrix/event.ts'
import { buildEvent } from '../matrix/event-format.ts'
import { referenceHash } from '../matrix/hashes.ts'
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { type SigningKey, signingKeyFromSeed } from '../matrix/signatures.ts'
import { resolveState } from '../matrix/state-res/resolve-state.ts'
import { type LoadedEvent, type StateKey, type StateMap, stateKeyOf } from '../matrix/state-res/state-map.ts'

/** The signing key of a server that exists in tests alone: the same for the same name. */
export function keyOfFictitiousServer(name: ServerName): SigningKey {
  return signingKeyFromSeed('test', createHash('sha256').update(name).digest())
}

export type EventOutline = {
  readonly type: string
  readonly sender: UserId
  readonly stateKey?: string
  readonly content?: JsonObject
  /** Its predecessors; the ends of the graph when not given. */
  readonly after?: readonly RoomEvent[]
  /** What it cites instead of what it should. */
  readonly auth?: readonly RoomEvent[]
  readonly originServerTs?: number
  readonly redacts?: EventId
}

export type Outcome = 'accepted' | 'softFailed' | 'rejected'

export type GraphNode = LoadedEvent & { readonly outcome: Outcome; readonly before: StateMap; readonly after: StateMap }

/**
 * A room as other servers see it, made by hand, and what a homeserver should think of it: by the plain algorithm over
 * whole states, without any of the ways by which the server itself avoids them.
 */
export class EventGraph {
  readonly rules: RoomRules
  readonly roomId: RoomId
  readonly nodes = new Map<EventId, GraphNode>()
  #ends: readonly RoomEvent[] = []
  /** Later than everything in the graph: conflicts are settled by age. */
  #clock = 0

  constructor(rules: RoomRules, roomId: RoomId) {
    this.rules = rules
    this.roomId = roomId
  }

  /** The forward extremities. */
  get ends(): readonly RoomEvent[] {
    return this.#ends
  }

  /** Builds an event and signs it with the key of its sender's fictitious server. The graph does not know it yet. */
  build(outline: EventOutline): RoomEvent {
    const after = outline.after ?? this.#ends
    const before = this.#resolve(after.map(({ eventId }) => this.nodes.get(eventId)!.after))
    const { type, sender, stateKey, content = {}, redacts } = outline
    const auth = outline.auth ?? this.#authEvents({ type, sender, stateKey, content }, before)
    this.#clock += 1
    const cited = [...after, ...auth]
    const event = buildEvent(
      {
        type,
        sender,
        roomId: this.roomId,
        content,
        ...(stateKey !== undefined && { stateKey }),
        ...(redacts !== undefined && { redacts }),
        originServerTs: outline.originServerTs ?? this.#clock,
        depth: 1 + Math.max(0, ...after.map(({ pdu }) => pdu.depth)),
        prevEvents: after.map(({ eventId }) => eventId),
        authEvents: auth.map(({ eventId }) => eventId),
        ...(this.rules.eventFormat === 'v1' && {
          eventIdLocalpart: `${this.nodes.size}-${this.#clock}`,
          hashesOf: new Map(cited.map((one) => [one.eventId, referenceHash(one.pdu, this.rules)])),
        }),
      },
      this.rules,
      serverNameOf(sender),
      keyOfFictitiousServer(serverNameOf(sender)),
    )
    return event
  }

  /** Takes an event in, and says what should become of it. */
  add(event: RoomEvent): Outcome {
    const before = this.#resolve(event.prevEvents.map((eventId) => this.nodes.get(eventId)!.after))
    const outcome = this.#judge(event, before)
    this.#clock = Math.max(this.#clock, event.pdu.origin_server_ts)
    const { type, state_key: stateKey } = event.pdu
    const changes = stateKey !== undefined && outcome !== 'rejected'
    const after = changes ? new Map(before).set(stateKeyOf(type, stateKey), event.eventId) : before
    this.nodes.set(event.eventId, { event, rejected: outcome === 'rejected', outcome, before, after })
    if (outcome === 'accepted') this.#ends = [...this.#endsWithout(event), event]
    return outcome
  }

  /** Builds an event and takes it in. */
  append(outline: EventOutline): RoomEvent {
    const event = this.build(outline)
    this.add(event)
    return event
  }

  /** The resolved state of the ends. */
  currentState(): StateMap {
    return this.#resolve(this.#ends.map(({ eventId }) => this.nodes.get(eventId)!.after))
  }

  /** The event at a key of the current state. */
  current(type: string, stateKey = ''): RoomEvent | undefined {
    const eventId = this.currentState().get(stateKeyOf(type, stateKey))
    return eventId === undefined ? undefined : this.nodes.get(eventId)!.event
  }

  #judge(event: RoomEvent, before: StateMap): Outcome {
    const cited = event.authEvents.map((eventId) => this.nodes.get(eventId)!)
    if (!checkAuthEvents(event, cited, this.rules).allowed) return 'rejected'
    const byAuth = new Map<StateKey, EventId>()
    if (this.rules.createEventIsRoomId) byAuth.set(stateKeyOf('m.room.create', ''), createEventIdOf(this.roomId))
    for (const { event: one } of cited) byAuth.set(stateKeyOf(one.pdu.type, one.pdu.state_key!), one.eventId)
    if (!this.#allows(event, byAuth) || !this.#allows(event, before)) return 'rejected'
    if (this.#ends.length > 0 && !this.#allows(event, this.currentState())) return 'softFailed'
    return 'accepted'
  }

  #allows(event: RoomEvent, state: StateMap): boolean {
    const get = (type: string, stateKey: string): RoomEvent | undefined => {
      const eventId = state.get(stateKeyOf(type, stateKey))
      return eventId === undefined ? undefined : this.nodes.get(eventId)!.event
    }
    return checkAuth(event, { get }, this.rules).allowed
  }

  #endsWithout(event: RoomEvent): readonly RoomEvent[] {
    const followed = new Set<EventId>()
    const open = [...event.prevEvents]
    for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
      followed.add(eventId)
      const node = this.nodes.get(eventId)!
      if (node.outcome !== 'accepted') open.push(...node.event.prevEvents)
    }
    return this.#ends.filter(({ eventId }) => !followed.has(eventId))
  }

  #authEvents(draft: Parameters<typeof authTypesFor>[0], state: StateMap): RoomEvent[] {
    const ids = authTypesFor(draft, this.rules).map(([type, stateKey]) => state.get(stateKeyOf(type, stateKey)))
    return ids.filter((eventId) => eventId !== undefined).map((eventId) => this.nodes.get(eventId)!.event)
  }

  #resolve(states: readonly StateMap[]): StateMap {
    if (states.length === 0) return new Map()
    return resolveState(this.rules, states, (eventId) => this.nodes.get(eventId))
  }
}
