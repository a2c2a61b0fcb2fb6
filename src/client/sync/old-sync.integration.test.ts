import { expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const text = (body: string) => ({ msgtype: 'm.text', body })
const bodies = (chunk: Answer[]): string[] => chunk.flatMap(({ content }) => content.body ?? [])

test('the stream of all rooms: in order, waited for, whole however much there is, and nothing that may not be seen', async () => {
  await using server = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: server })
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const rooms = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom({ preset: 'public_chat' })]
  const hidden = await alice.createRoom()
  for (const room of rooms) await bob.join(room)
  const events = (from?: string, timeout = 0): Promise<Answer> =>
    bob.get('/events', { timeout, ...(from !== undefined && { from }) })
  const { end: start } = await events()

  const waiting = events(start, 30_000)
  await second.adopt(alice).send(rooms[0]!, 'm.room.message', text('one'), 'by the other process')
  const first = await waiting
  expect(first).toMatchObject({ start, chunk: [{ room_id: rooms[0], content: { body: 'one' } }] })

  const said: string[] = []
  for (let number = 0; number < 120; number += 10) {
    const ten = Array.from({ length: 10 }, (_, index) => `${number + index}`)
    await Promise.all(ten.map((body) => alice.send(rooms[Number(body) % 2]!, 'm.room.message', text(body))))
    said.push(...ten)
  }
  await alice.send(hidden, 'm.room.message', text('not for Bob'))
  const page = await events(first.end)
  expect(page.chunk).toHaveLength(100)
  const rest = await events(page.end)
  const all = bodies([...page.chunk, ...rest.chunk])
  expect([all.length, new Set(all)]).toEqual([120, new Set(said)])
  expect(await events(page.end)).toMatchObject({ chunk: rest.chunk.map(({ event_id }: Answer) => ({ event_id })) })
  // A token of `/sync` is one of this stream too.
  const { next_batch: since } = await bob.sync()
  expect((await events(since)).chunk).toEqual([])

  // An invite is told, and after the leaving nothing more.
  await alice.post(`/rooms/${encodeURIComponent(hidden)}/invite`, { user_id: bob.userId })
  const invited = await events(since)
  expect(invited.chunk).toMatchObject([{ room_id: hidden, state_key: bob.userId, content: { membership: 'invite' } }])
  await bob.post(`/rooms/${encodeURIComponent(rooms[0]!)}/leave`)
  await alice.send(rooms[0]!, 'm.room.message', text('behind his back'))
  const left = await events(invited.end)
  expect(left.chunk).toMatchObject([{ room_id: rooms[0], content: { membership: 'leave' } }])
  expect((await events(left.end)).chunk).toEqual([])

  // Nor what somebody says who is ignored.
  await carol.join(rooms[1]!)
  const { end: joined } = await events(left.end)
  await bob.put(`/user/${bob.userId}/account_data/m.ignored_user_list`, { ignored_users: { [carol.userId]: {} } })
  await carol.send(rooms[1]!, 'm.room.message', text('unheard'))
  await alice.send(rooms[1]!, 'm.room.message', text('heard'))
  expect(bodies((await events(joined)).chunk)).toEqual(['heard'])
  expect((await bob.attempt('get', '/events?from=x')).status).toBe(400)
})

test('an event by its id alone, for those who may see it', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom()
  const { event_id: id } = await alice.send(room, 'm.room.message', text('one'))
  const one = (client: TestClient, eventId: string) => client.attempt('get', `/events/${encodeURIComponent(eventId)}`)
  expect((await one(alice, id)).body).toMatchObject({ event_id: id, room_id: room, content: { body: 'one' } })
  for (const refused of [await one(bob, id), await one(alice, '$unknown')]) {
    expect(refused).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
  }
})

test('everything at once, as it was before there was sync', async () => {
  await using server = await startTestServer({ config: { presence: { enabled: true } } })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const open = await alice.createRoom({ preset: 'public_chat', visibility: 'public', name: 'Open' })
  const [left, banned, invited] = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom()]
  for (let number = 0; number < 5; number++) await alice.send(open, 'm.room.message', text(`${number}`))
  const at = (room: string) => `/rooms/${encodeURIComponent(room)}`
  await bob.join(open)
  for (const room of [left, banned, invited]) await alice.post(`${at(room)}/invite`, { user_id: bob.userId })
  await bob.join(left)
  await alice.send(left, 'm.room.message', text('before he left'))
  await bob.post(`${at(left)}/leave`)
  await alice.send(left, 'm.room.message', text('after he left'))
  await bob.join(banned)
  await alice.post(`${at(banned)}/ban`, { user_id: bob.userId })
  await bob.put(`/user/${bob.userId}/account_data/x.note`, { a: 1 })
  await bob.put(`/user/${bob.userId}/rooms/${open}/account_data/x.of_room`, { b: 2 })

  const body: Answer = await bob.get('/initialSync', { limit: 3 })
  const rooms = new Map<string, Answer>(body.rooms.map((room: Answer) => [room.room_id, room]))
  expect([...rooms.keys()].sort()).toEqual([open, invited].sort())
  const { messages, state, ...about } = rooms.get(open)!
  expect(about).toMatchObject({
    membership: 'join',
    visibility: 'public',
    account_data: [{ type: 'x.of_room', content: { b: 2 } }],
  })
  expect(messages.chunk).toMatchObject([
    { room_id: open, content: text('3') },
    { content: text('4') },
    { type: 'm.room.member', state_key: bob.userId },
  ])
  const earlier = await bob.get(`${at(open)}/messages`, { dir: 'b', from: messages.start, limit: 1 })
  expect(bodies(earlier.chunk)).toEqual(['2'])
  // The state is that of now, with what the timeline shows.
  const members = state.filter(({ type }: Answer) => type === 'm.room.member')
  expect(members.map(({ state_key: member }: Answer) => member).sort()).toEqual([alice.userId, bob.userId])
  expect(state.find(({ type }: Answer) => type === 'm.room.name')).toMatchObject({
    room_id: open,
    content: { name: 'Open' },
  })
  expect(rooms.get(invited)).toMatchObject({
    membership: 'invite',
    invite: { room_id: invited, sender: alice.userId, content: { membership: 'invite' } },
  })
  expect(body.account_data.find(({ type }: Answer) => type === 'x.note')).toMatchObject({ content: { a: 1 } })
  expect(body.presence).toBeInstanceOf(Array)

  // From here on the stream goes on.
  await alice.send(open, 'm.room.message', text('next'))
  expect(bodies((await bob.get('/events', { from: body.end })).chunk)).toEqual(['next'])

  const { rooms: archived } = await bob.get('/initialSync', { archived: true })
  const byId = new Map<string, Answer>(archived.map((room: Answer) => [room.room_id, room]))
  expect(byId.get(left)!.membership).toBe('leave')
  expect(bodies(byId.get(left)!.messages.chunk)).toEqual(['before he left'])
  expect(byId.get(banned)!.membership).toBe('ban')
})
