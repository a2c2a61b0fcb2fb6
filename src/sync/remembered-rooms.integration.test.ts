import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { createDice, type Dice } from '../testing/dice.ts'
import { type Answer, startTestServer, type TestClient } from '../testing/index.ts'

const path = encodeURIComponent

/** Something that one of the users does in the room; what is not allowed does not matter. */
async function act(dice: Dice, room: RoomId, users: readonly TestClient[], sent: string[]): Promise<void> {
  const user = dice.pick(users)
  const other = dice.pick(users)
  const attempt = async (method: string, rest: string, body: object) => {
    const { body: answer } = await user.attempt(method, `/rooms/${path(room)}/${rest}`, { body })
    if (answer.event_id) sent.push(answer.event_id)
  }
  const txnId = `t${sent.length}-${dice.below(1e9)}`
  const target = sent.length === 0 ? '$nothing' : dice.pick(sent)
  switch (dice.below(12)) {
    case 0:
      return attempt('put', 'state/m.room.name/', { name: `Name ${dice.below(100)}` })
    case 1:
      return attempt('put', 'state/org.example.setting/one', { value: dice.below(100) })
    case 2:
      await user.attempt('post', `/join/${path(room)}`, { body: {} })
      return
    case 3:
      return attempt('post', 'leave', {})
    case 4:
      return attempt('post', dice.pick(['kick', 'ban', 'unban', 'invite']), { user_id: other.userId })
    case 5:
      return attempt('put', `redact/${path(target)}/${txnId}`, {})
    case 6: {
      const relation = dice.pick([
        { rel_type: 'm.annotation', key: '👍' },
        { rel_type: 'm.thread' },
        { rel_type: 'm.replace' },
      ])
      const content = { msgtype: 'm.text', body: 'related', 'm.relates_to': { ...relation, event_id: target } }
      return attempt('put', `send/${relation.key ? 'm.reaction' : 'm.room.message'}/${txnId}`, content)
    }
    case 7:
      return attempt('put', 'state/m.room.history_visibility/', {
        history_visibility: dice.pick(['joined', 'invited', 'shared', 'world_readable']),
      })
    default:
      return attempt('put', `send/m.room.message/${txnId}`, { msgtype: 'm.text', body: `message ${sent.length}` })
  }
}

/** An answer without what depends on when it was asked for, its states in an order. */
function comparable(answer: Answer): Answer {
  const byKey = (one: Answer, other: Answer) =>
    `${one.type} ${one.state_key}` < `${other.type} ${other.state_key}` ? -1 : 1
  const plain = JSON.parse(JSON.stringify(answer, (key, value) => (key === 'age' ? undefined : value)))
  delete plain.next_batch
  for (const room of Object.values<Answer>({ ...plain.rooms?.join, ...plain.rooms?.leave })) {
    for (const section of ['state', 'state_after']) room[section]?.events.sort(byKey)
  }
  return plain
}

/** Where something is hidden from the reader, memory may show more of what is before: it costs nothing there. */
function expectAlike(known: Answer, read: Answer, where: string): void {
  const [knownEvents, readEvents] = [known.timeline.events, read.timeline.events]
  if (knownEvents.length === readEvents.length) expect(known, where).toEqual(read)
  expect(read.timeline.limited || knownEvents.length === readEvents.length, where).toBe(true)
  expect(knownEvents.slice(knownEvents.length - readEvents.length), where).toEqual(readEvents)
}

const filters = [
  {},
  { room: { timeline: { limit: 3 } } },
  { room: { timeline: { limit: 50 }, state: { lazy_load_members: true } } },
  { room: { timeline: { limit: 5, types: ['m.room.message'] }, include_leave: true } },
  { room: { timeline: { not_senders: ['@bob:a.test'] } } },
]

test('a first sync is the same whether memory holds the rooms or not', async () => {
  await using server = await startTestServer()
  const users = [await server.register('alice'), await server.register('bob'), await server.register('carol')]
  const dice = createDice(7)
  for (let index = 0; index < 12; index++) {
    const room = await users[0]!.createRoom({ preset: 'public_chat' })
    for (const user of users.slice(1)) if (dice.chance(0.7)) await user.join(room)
    const sent: string[] = []
    for (let step = dice.pick([2, 8, 25, 70]); step > 0; step--) await act(dice, room, users, sent)
    if (dice.chance(0.5)) continue
    // Somebody came lately to a room whose earlier history only its members may see.
    await users[0]!.attempt('put', `/rooms/${path(room)}/state/m.room.history_visibility/`, {
      body: { history_visibility: 'joined' },
    })
    await users[2]!.attempt('post', `/rooms/${path(room)}/leave`, { body: {} })
    for (let step = 0; step < 4; step++) await act(dice, room, users.slice(0, 2), sent)
    await users[2]!.attempt('post', `/join/${path(room)}`, { body: {} })
    for (let step = 0; step < 2; step++) await act(dice, room, users.slice(0, 2), sent)
  }
  const answerTo = async (user: TestClient, filter: object, after: boolean): Promise<Answer> => {
    const query = { filter: JSON.stringify(filter), ...(after && { use_state_after: true }) }
    return comparable(await user.get('/sync', query))
  }
  const remembered: Answer[] = []
  const asked = users.flatMap((user) =>
    filters.flatMap((filter) => [false, true].map((after) => [user, filter, after] as const)),
  )
  for (const each of asked) remembered.push(await answerTo(...each))
  server.ctx.feeds.forget(undefined)
  for (const [index, [user, filter, after]] of asked.entries()) {
    const { rooms, ...rest } = await answerTo(user, filter, after)
    const { rooms: known, ...knownRest } = remembered[index]
    const where = `${user.userId} ${JSON.stringify(filter)} ${after}`
    expect(knownRest, where).toEqual(rest)
    for (const section of ['join', 'leave']) {
      expect(Object.keys(known[section] ?? {}), where).toEqual(Object.keys(rooms[section] ?? {}))
      for (const room of Object.keys(rooms[section] ?? {})) {
        expectAlike(known[section][room], rooms[section][room], `${where} ${room}`)
      }
    }
  }
})
