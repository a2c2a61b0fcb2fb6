import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, RoomId, UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { type RoomRules, type RoomVersion, roomRules } from '../../src/matrix/room-versions.ts'
import { AuthGraph } from '../../src/matrix/state-res/auth-graph.ts'
import { type LoadedEvents, resolvePlanned } from '../../src/matrix/state-res/fast.ts'
import { type Conflict, planResolution } from '../../src/matrix/state-res/plan.ts'
import { type LoadedEvent, POWER_LEVELS_KEY, type StateKey, stateKeyOf } from '../../src/matrix/state-res/state-map.ts'

/**
 * How long the integer form of state resolution takes. Prints the median and the worst of some runs, after a warm-up.
 *
 *     node bench/engine/state-res.ts
 */

const MEMBERS = 10_000
const FORK = 50

class Room {
  readonly graph = new AuthGraph()
  readonly events: LoadedEvent[] = []
  readonly state = new Map<StateKey, number>()
  readonly rules: RoomRules

  constructor(rules: RoomRules) {
    this.rules = rules
  }

  add(
    type: string,
    sender: UserId,
    stateKey: string,
    content: JsonObject,
    auth: readonly number[],
    ts: number,
  ): number {
    const roomId: RoomId = this.rules.createEventIsRoomId ? '!create' : '!room:a'
    const eventId: EventId = this.events.length === 0 ? '$create' : `$${this.events.length}`
    const listed = this.rules.createEventIsRoomId ? auth.filter((ordinal) => ordinal !== 0) : auth
    const event: RoomEvent = {
      eventId,
      roomId,
      prevEvents: this.events.length === 0 ? [] : [`$${this.events.length - 1 || 'create'}`],
      authEvents: listed.map((ordinal) => this.events[ordinal]!.event.eventId),
      pdu: {
        type,
        sender,
        ...(this.rules.createEventIsRoomId && type === 'm.room.create' ? {} : { room_id: roomId }),
        state_key: stateKey,
        content,
        origin_server_ts: ts,
        depth: this.events.length + 1,
        prev_events: [],
        auth_events: [],
        hashes: { sha256: '' },
        signatures: {},
      },
    }
    this.events.push({ event, rejected: false })
    return this.graph.add(listed, type === 'm.room.power_levels' && stateKey === '')
  }
}

const userOf = (index: number): UserId => `@user${index}:a`
const member = (index: number) => stateKeyOf('m.room.member', userOf(index))

/** A public room in which everybody has joined, and whose first hundred may do everything. */
function bigRoom(rules: RoomRules): Room {
  const room = new Room(rules)
  const { state } = room
  const creator = userOf(0)
  const put = (type: string, sender: UserId, stateKey: string, content: JsonObject, auth: readonly number[]) =>
    state.set(stateKeyOf(type, stateKey), room.add(type, sender, stateKey, content, auth, room.events.length))
  const first = rules.auth.privilegedCreators ? 1 : 0
  const users = Object.fromEntries(Array.from({ length: 100 - first }, (_, index) => [userOf(index + first), 100]))
  put('m.room.create', creator, '', { creator }, [])
  put('m.room.member', creator, creator, { membership: 'join' }, [0])
  put('m.room.power_levels', creator, '', { users }, [0, 1])
  put('m.room.join_rules', creator, '', { join_rule: 'public' }, [0, 1, 2])
  for (let index = 1; index < MEMBERS; index++) {
    put('m.room.member', userOf(index), userOf(index), { membership: 'join' }, [0, 2, 3])
  }
  return room
}

/** Two forks of the room, each with its own bans, names, joins and a change of levels. */
function forked(room: Room): Conflict {
  const { state, graph } = room
  const forks = [0, 1].map((side) => {
    const fork = new Map<StateKey, number>()
    const value = (key: StateKey) => fork.get(key) ?? state.get(key)!
    for (let step = 0; step < FORK; step++) {
      const by = 1 + side * 40 + (step % 20)
      const [levels, sender] = [value(POWER_LEVELS_KEY), value(member(by))]
      const ts = room.events.length
      const put = (type: string, stateKey: string, content: JsonObject, more: readonly number[] = []) =>
        fork.set(
          stateKeyOf(type, stateKey),
          room.add(type, userOf(by), stateKey, content, [0, levels, sender, ...more], ts),
        )
      const target = 200 + step * 2 + (step % 3 === 0 ? side : 0)
      if (step === 25 || step === 35)
        put('m.room.power_levels', '', { ...room.events[2]!.event.pdu.content, ban: 60 + side })
      else if (step % 2 === 0) put('m.room.member', userOf(target), { membership: 'ban' }, [value(member(target))])
      else if (step % 4 === 1) put('m.room.topic', '', { topic: `${side} ${step}` })
      else put('org.example.widget', `${step}`, { side })
    }
    return fork
  })
  const keys = new Set(forks.flatMap((fork) => [...fork.keys()]))
  return {
    graph,
    divergent: forks.map((fork) => new Map([...keys].map((key) => [key, fork.get(key) ?? state.get(key)]))),
    agreed: {
      get: (key) => (keys.has(key) ? undefined : state.get(key)),
      *ordinals() {
        for (const [key, ordinal] of state) if (!keys.has(key)) yield ordinal
      },
    },
    create: 0,
  }
}

/** 85,000 state events, their levels changed every thousand. */
function longGraph(): { graph: AuthGraph; state: readonly number[] } {
  const graph = new AuthGraph()
  graph.add([])
  graph.add([0])
  let levels = graph.add([0, 1], true)
  const rules = graph.add([0, 1, levels])
  const state = [0, 1, rules]
  while (graph.size < 85_000) {
    if (graph.size % 1000 === 0) levels = graph.add([0, levels, 1], true)
    else state.push(graph.add([0, levels, rules, state[state.length >> 1]!]))
  }
  return { graph, state: [...state, levels] }
}

/** An attack on the auth chains: levels that change at every event, each citing the one before and an old one. */
function zigzag(length: number): { conflict: Conflict; events: readonly LoadedEvent[] } {
  const room = new Room(roomRules('11'))
  room.add('m.room.create', userOf(0), '', { creator: userOf(0) }, [], 0)
  room.add('m.room.member', userOf(0), userOf(0), { membership: 'join' }, [0], 1)
  let levels = room.add('m.room.power_levels', userOf(0), '', { users: { [userOf(0)]: 100 } }, [0, 1], 2)
  const base = levels
  const forks = [0, 1].map((side) => {
    levels = base
    for (let step = 0; step < length / 2; step++) {
      const content = { users: { [userOf(0)]: 100, [userOf(1)]: (step + side) % 50 } }
      levels = room.add('m.room.power_levels', userOf(0), '', content, [0, 1, levels], room.events.length)
    }
    return new Map([[POWER_LEVELS_KEY, levels]])
  })
  const agreed = new Map([
    [stateKeyOf('m.room.create', ''), 0],
    [member(0), 1],
  ])
  return {
    conflict: {
      graph: room.graph,
      divergent: forks,
      agreed: { get: (key) => agreed.get(key), ordinals: () => agreed.values() },
    },
    events: room.events,
  }
}

function measure(name: string, run: () => unknown, runs = 40): void {
  for (let i = 0; i < runs / 2; i++) run()
  const times = Array.from({ length: runs }, () => {
    const from = performance.now()
    run()
    return performance.now() - from
  }).sort((a, b) => a - b)
  console.log(`${name}: median ${times[runs >> 1]!.toFixed(3)} ms, worst ${times[runs - 1]!.toFixed(3)} ms`)
}

function resolveAll(rules: RoomRules, conflict: Conflict, load: LoadedEvents): number {
  const plan = planResolution(rules, conflict)
  const resolution = resolvePlanned(plan, load)
  if ('missing' in resolution) throw new Error('Everything is loaded')
  return resolution.resolved.size
}

const { graph, state } = longGraph()
measure(`auth chain of ${graph.size} state events`, () => graph.chain(state).length)

for (const version of ['1', '11', '12'] as const satisfies readonly RoomVersion[]) {
  const rules = roomRules(version)
  const room = bigRoom(rules)
  const conflict = forked(room)
  const plan = planResolution(rules, conflict)
  console.log(`version ${version}: ${plan.conflicted.size} conflicted, ${plan.needed.length} events needed`)
  measure(`  plan, two forks of ${FORK} in ${MEMBERS} members`, () => planResolution(rules, conflict))
  measure('  plan and resolve', () => resolveAll(rules, conflict, (ordinal) => room.events[ordinal]))
}

const attack = zigzag(2000)
measure(
  '2,000 levels in two zigzags',
  () => resolveAll(roomRules('11'), attack.conflict, (ordinal) => attack.events[ordinal]),
  10,
)
