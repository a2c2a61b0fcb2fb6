import { expect, test } from 'vitest'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { RoomId } from '../src/matrix/ids.ts'
import { EventFlags } from '../src/storage/events.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import { attackedRoom, hostRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { pair, via } from './two-servers.fixtures.ts'

const numbered = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${word} ${index}`)

async function say(client: TestClient, room: RoomId, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await client.send(room, 'm.room.message', { msgtype: 'm.text', body })
}

/** Bodies of all messages back from a token or from now, the oldest first, page by page; and the types of all events. */
async function history(client: TestClient, room: RoomId, limit: number, from?: string) {
  const events: Answer[] = []
  for (let token = from, isFirst = true; isFirst || token !== undefined; isFirst = false) {
    const query = { dir: 'b', limit, ...(token !== undefined && { from: token }) }
    const page: Answer = await client.get(`/rooms/${encodeURIComponent(room)}/messages`, query)
    events.unshift(...page.chunk.toReversed())
    token = page.end
  }
  return {
    bodies: events.flatMap(({ type, content }) => (type === 'm.room.message' ? [content.body ?? ''] : [])),
    types: events.map(({ type }) => type),
  }
}

test('who comes into a room reads all that was said before, in order', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  const said = numbered('before', 230)
  await say(alice, room, said)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const sync = await bob.sync()
  expect(sync.rooms.join[room].timeline.limited).toBe(true)
  const found = await history(bob, room, 60)
  expect(found.bodies).toEqual(said)
  expect(found.types[0]).toBe('m.room.create')
  expect(await history(bob, room, 60, sync.rooms.join[room].timeline.prev_batch)).toMatchObject({ bodies: said })
  // It is here now: nobody has to be asked again.
  await one.close()
  expect((await history(bob, room, 100)).bodies).toEqual(said)
}, 60_000)

test('what was said between a leaving and a return stands in between, also with a topic changed meanwhile', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await say(alice, room, numbered('first', 5))
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await say(bob, room, numbered('here', 3))
  const { next_batch: since } = await bob.sync()
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`)
  await say(alice, room, numbered('away', 20))
  await alice.put(`/rooms/${encodeURIComponent(room)}/state/m.room.topic`, { topic: 'meanwhile' })
  await say(alice, room, numbered('later', 20))
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const { timeline, state } = (await bob.sync({ since })).rooms.join[room]
  expect(timeline.limited).toBe(true)
  expect(timeline.events.filter(({ content }: Answer) => content.body?.startsWith('here'))).toEqual([])
  expect(state.events.find(({ type }: Answer) => type === 'm.room.topic').content).toEqual({ topic: 'meanwhile' })
  const [first, here, between] = [
    numbered('first', 5),
    numbered('here', 3),
    [...numbered('away', 20), ...numbered('later', 20)],
  ]
  const found = await history(bob, room, 15, timeline.prev_batch)
  expect(found.bodies).toEqual([...first, ...here, ...between])
  expect(found.types.filter((type) => type === 'm.room.topic')).toHaveLength(1)
}, 60_000)

test('history that is not for who came later is not shown, though it was fetched', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }],
  })
  await say(alice, room, numbered('before', 5))
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await say(bob, room, ['here'])
  expect((await history(bob, room, 50)).bodies.filter((body) => body !== '')).toEqual(['here'])
}, 60_000)

/** `late` is by somebody who has left by the time that it is heard of, and so not shown; `said` comes before it, `next` after. */
async function withLateEvent() {
  const scene = await attackedRoom()
  const { home, hostile, room, roomId } = scene
  const { ends, state } = await joinHostile(hostile, home, roomId, 'visitor')
  const visitor = room.user('visitor')
  room.take([...state.values()])
  const say = (body: string, prev: readonly RoomEvent[], sender = room.user()): RoomEvent =>
    room.build({ prev, sender, content: { msgtype: 'm.text', body } })
  const said = say('said before', ends)
  const late = say('late', [said], visitor)
  const next = say('next', [late])
  const ids = [...room.state.values()].map(({ eventId }) => eventId)
  const leave = { type: 'm.room.member', sender: visitor, stateKey: visitor, content: { membership: 'leave' } }
  await room.push(home, room.build({ ...leave, prev: ends }))
  let between: readonly RoomEvent[] = []
  hostile.answer = ({ path }) => {
    if (path.includes('/get_missing_events/')) return { body: { events: between.map(({ pdu }) => pdu) } }
    if (path.includes('/state_ids/')) return { body: { pdu_ids: ids, auth_chain_ids: ids } }
    return path.includes('/backfill/') ? { body: { pdus: [said.pdu] } } : undefined
  }
  /** Is sent an event, and told one that comes before it, until the home server has one of them. */
  const shown = async (event: RoomEvent, before: RoomEvent, awaited = event): Promise<void> => {
    between = [before]
    await hostile.send(home, [event.pdu])
    const isPlaced = async () =>
      (await home.ctx.events.byIds([awaited.eventId])).some(({ flags }) => (flags & EventFlags.outlier) === 0)
    await expect.poll(isPlaced).toBe(true)
  }
  return { scene, say, late, next, shown }
}

test('what was said before an event that is not shown here is found all the same', async () => {
  const { scene, late, next, shown } = await withLateEvent()
  await using _scene = scene
  await shown(next, late)
  const { bodies } = await history(scene.alice, scene.roomId, 50)
  expect(bodies.slice(-2)).toEqual(['said before', 'next'])
})

test('the same where the event that is not shown comes after the one that follows it', async () => {
  const { scene, say, late, next, shown } = await withLateEvent()
  await using _scene = scene
  await shown(say('after', [next]), next)
  // Nobody is shown this one either: it brings what comes before it.
  await shown(say('beside', [late], late.pdu.sender), late, late)
  const { bodies } = await history(scene.alice, scene.roomId, 50)
  expect(bodies.slice(-3)).toEqual(['said before', 'next', 'after'])
})

test('F52: more rejected events than are told at once do not hide what was before them', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  const weak = room.user('weak')
  room.add({ type: 'm.room.member', sender: weak, stateKey: weak, content: { membership: 'join' } })
  room.add({ content: { msgtype: 'm.text', body: 'first' } })
  for (let index = 0; index < 350; index++) {
    const bad = room.build({ type: 'm.room.topic', stateKey: '', sender: weak, content: { topic: String(index) } })
    room.ends = [bad]
    room.events.push(bad)
  }
  room.add({ content: { msgtype: 'm.text', body: 'last' } })
  hostile.answer = (asked) => {
    if (!asked.path.includes('/backfill/')) return room.answerTo(asked)
    const from = new URL(asked.path, hostile.url).searchParams.get('v')
    const end = room.events.findIndex(({ eventId }) => eventId === from) + 1
    const page = room.events.slice(Math.max(0, end - 100), end).reverse()
    return { body: { pdus: page.map(({ pdu }) => pdu) } }
  }
  await alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(hostile.name)}`)
  const bodies: string[] = []
  for (let from: string | undefined, pages = 0; pages < 20; pages++) {
    const page = await alice.get(`/rooms/${encodeURIComponent(room.roomId)}/messages`, { dir: 'b', limit: 10, from })
    bodies.push(...page.chunk.flatMap(({ content }: { content: { body?: string } }) => content.body ?? []))
    from = page.end
    if (from === undefined) break
  }
  expect(bodies).toEqual(['last', 'first'])
})

test('what could not be had from a server is asked for again as soon as that shows itself', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  room.add({ content: { msgtype: 'm.text', body: 'before' } })
  let isCut = true
  hostile.answer = (asked) => {
    if (!asked.path.includes('/backfill/')) return room.answerTo(asked)
    return isCut ? { text: 'the line is cut' } : { body: { pdus: room.events.map(({ pdu }) => pdu) } }
  }
  await alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(hostile.name)}`)
  expect((await history(alice, room.roomId, 100)).bodies).toEqual([])
  isCut = false
  await hostile.request(home, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  expect((await history(alice, room.roomId, 100)).bodies).toEqual(['before'])
})
