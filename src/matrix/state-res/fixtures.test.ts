import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { RoomEvent } from '../event.ts'
import type { EventId, UserId } from '../ids.ts'
import type { JsonObject } from '../json.ts'
import { type RoomRules, type RoomVersion, roomRules } from '../room-versions.ts'
import { type Resolution, resolvePlanned } from './fast.ts'
import { planResolution } from './plan.ts'
import { conflictOf } from './random-rooms.ts'
import { resolveState } from './resolve-state.ts'
import { type LoadedEvent, type StateMap, stateKeyOf } from './state-map.ts'

type FixtureEvent = {
  readonly id: EventId
  readonly type: string
  readonly sender: UserId
  readonly stateKey: string
  readonly content: JsonObject
  readonly auth: readonly EventId[]
  readonly ts: number
  /** By default the place in the list. */
  readonly depth?: number
  readonly rejected?: boolean
}

/** `sets` and `expected` name events; their types and state keys are the keys of the state. */
type Fixture = {
  readonly why: string
  readonly events: readonly FixtureEvent[]
  readonly sets: readonly (readonly EventId[])[]
  readonly expected: { readonly [V in RoomVersion]?: readonly EventId[] }
}

const directory = new URL('fixtures/', import.meta.url)
const fixtures = readdirSync(directory).map((file) => {
  return [file, JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Fixture] as const
})

/** The event as it would be in a room of these rules: from version 12 on nobody cites the create event, or lists its sender. */
function eventOf(fixture: FixtureEvent, index: number, rules: RoomRules): LoadedEvent {
  const roomId = rules.createEventIsRoomId ? '!create' : '!room:a'
  const authEvents = fixture.auth.filter((id) => !(rules.createEventIsRoomId && id === '$create'))
  const event: RoomEvent = {
    eventId: fixture.id,
    roomId,
    prevEvents: index === 0 ? [] : [index === 1 ? '$create' : '$previous'],
    authEvents,
    pdu: {
      type: fixture.type,
      sender: fixture.sender,
      ...(rules.createEventIsRoomId && index === 0 ? {} : { room_id: roomId }),
      state_key: fixture.stateKey,
      content: fixture.type === 'm.room.power_levels' ? levelsFor(rules, fixture.content) : fixture.content,
      origin_server_ts: fixture.ts,
      depth: fixture.depth ?? index + 1,
      prev_events: index === 0 ? [] : ['$previous'],
      auth_events: authEvents,
      hashes: { sha256: '' },
      signatures: {},
    },
  }
  return { event, rejected: fixture.rejected ?? false }
}

function levelsFor(rules: RoomRules, content: JsonObject): JsonObject {
  if (!rules.auth.privilegedCreators) return content
  const users = Object.entries(content.users as JsonObject).filter(([user]) => user !== '@alice:a')
  return { ...content, users: Object.fromEntries(users) }
}

describe.each(fixtures)('%s', (_, fixture) => {
  test.each(Object.entries(fixture.expected))('room version %s', (version, expected) => {
    const rules = roomRules(version as RoomVersion)
    const events = new Map(fixture.events.map((one, index) => [one.id, eventOf(one, index, rules)]))
    const stateOf = (ids: readonly EventId[]): StateMap =>
      new Map(
        ids.map((id) => {
          const { type, state_key: stateKey } = events.get(id)!.event.pdu
          return [stateKeyOf(type, stateKey!), id]
        }),
      )
    const sets = fixture.sets.map(stateOf)
    const resolved = resolveState(rules, sets, (id) => events.get(id))
    expect([...resolved.values()].sort()).toEqual(expected.toSorted())

    const { conflict, ordinals } = conflictOf({ events, sets })
    const byOrdinal = [...ordinals.keys()]
    const fast: Resolution = resolvePlanned(planResolution(rules, conflict), (ordinal) =>
      events.get(byOrdinal[ordinal]!),
    )
    if ('missing' in fast) throw new Error('Everything is loaded')
    for (const [key, ordinal] of fast.resolved) {
      expect(ordinal === undefined ? undefined : byOrdinal[ordinal]).toBe(resolved.get(key))
    }
  })
})
