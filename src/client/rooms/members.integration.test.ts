import { expect, test } from 'vitest'
import type { RoomId } from '../../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const path = encodeURIComponent
const membersOf = async (client: TestClient, room: RoomId, query: { [name: string]: string } = {}) =>
  (await client.get(`/rooms/${path(room)}/members`, query)).chunk as Answer[]

/** Without what depends on the moment, in the order of their state keys. */
function comparable(events: readonly Answer[]): Answer[] {
  const plain = events.map(({ unsigned, ...event }) => {
    const { age, redacted_because: because, ...rest } = unsigned
    return { ...event, unsigned: { ...rest, ...(because && { redacted_because: because.event_id }), hasAge: age >= 0 } }
  })
  return plain.sort((one, other) => (one.state_key < other.state_key ? -1 : 1))
}

test.each(['1', '3', '6', '12'])(
  'members are told as the state tells them, in room version %s: odd ones, redacted ones, with every filter',
  async (version) => {
    await using server = await startTestServer()
    const alice = await server.register('alice')
    const room = await alice.createRoom({ preset: 'public_chat', room_version: version })
    const named = { bob: 'B"ö\\b\u2028\ud83d\ude00', carol: 'says "membership":"leave"', dave: '\u0000', erin: '' }
    const members: { [name: string]: TestClient } = {}
    for (const [name, displayname] of Object.entries(named)) {
      const user = await server.register(name)
      members[name] = user
      await user.join(room)
      const content = { membership: 'join', displayname, nested: { membership: 'leave' } }
      await user.attempt('put', `/rooms/${path(room)}/state/m.room.member/${path(user.userId)}`, { body: content })
    }
    await alice.membership(room, 'ban', { user_id: members.dave!.userId, reason: '"membership":"join"' })
    await members.erin!.membership(room, 'leave')
    await alice.invite(room, (await server.register('frank')).userId)
    const [bob] = (await membersOf(alice, room)).filter((event) => event.state_key === members.bob!.userId)
    await alice.put(`/rooms/${path(room)}/redact/${path(bob.event_id)}/r1`, { reason: 'no' })

    const state = (await alice.get(`/rooms/${path(room)}/state`)) as Answer[]
    const inState = comparable(state.filter(({ type }) => type === 'm.room.member'))
    expect(inState).toHaveLength(6)
    expect(comparable(await membersOf(alice, room))).toEqual(inState)
    const memberships = inState.map(({ content }) => content.membership)
    expect(new Set(memberships)).toEqual(new Set(['join', 'leave', 'ban', 'invite']))
    for (const membership of new Set<string>(memberships)) {
      const of = comparable(await membersOf(alice, room, { membership }))
      expect(of).toEqual(inState.filter(({ content }) => content.membership === membership))
      const others = comparable(await membersOf(alice, room, { not_membership: membership }))
      expect(others).toEqual(inState.filter(({ content }) => content.membership !== membership))
    }
  },
)
