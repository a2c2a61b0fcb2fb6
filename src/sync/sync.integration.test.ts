import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient } from '../testing/index.ts'

async function threeUsers() {
  const server = await startTestServer()
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  return { server, alice, bob, carol, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const path = encodeURIComponent

function bodies(events: Answer): unknown[] {
  return events.filter((event: Answer) => event.type === 'm.room.message').map((event: Answer) => event.content.body)
}

function say(client: TestClient, room: RoomId, body: string, more: object = {}) {
  return client.send(room, 'm.room.message', { msgtype: 'm.text', body, ...more })
}

function inThread(root: string) {
  return { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
}

function ignore(client: TestClient, ...users: TestClient[]) {
  const ignored = Object.fromEntries(users.map(({ userId }) => [userId, {}]))
  return client.put(`/user/${path(client.userId)}/account_data/m.ignored_user_list`, { ignored_users: ignored })
}

async function sendToBob(alice: TestClient, bob: TestClient, count: number, from = 0) {
  for (let number = from; number < from + count; number++) {
    await alice.put(`/sendToDevice/test.type/to${number}`, {
      messages: { [bob.userId]: { [bob.deviceId]: { number } } },
    })
  }
}

test('messages to a device come in portions, none is lost, and what was acknowledged is gone from the database', async () => {
  await using all = await threeUsers()
  const { server, alice, bob } = all
  await sendToBob(alice, bob, 230)
  const numbers: number[] = []
  let since: string | undefined
  for (let round = 0; round < 4; round++) {
    const answer: Answer = await bob.sync(since === undefined ? {} : { since })
    numbers.push(...(answer.to_device?.events ?? []).map((event: Answer) => event.content.number))
    since = answer.next_batch
    // Between portions new ones come.
    if (round === 0) await sendToBob(alice, bob, 5, 230)
  }
  expect(numbers).toEqual(Array.from({ length: 235 }, (_, index) => index))
  await bob.sync({ since: since! })
  expect(await server.ctx.database.db.selectFrom('to_device').selectAll().execute()).toEqual([])
})

test('a token that was not acknowledged gives the same messages again', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const { next_batch: since } = await bob.sync()
  await sendToBob(alice, bob, 2)
  const first = await bob.sync({ since })
  const again = await bob.sync({ since })
  expect(again.to_device).toEqual(first.to_device)
  expect((await bob.sync({ since: first.next_batch })).to_device).toBeUndefined()
})

test('a rejected invite tells nothing of the room: no members in device lists, no state, no messages', async () => {
  await using all = await threeUsers()
  const { alice, bob, carol } = all
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Secret', invite: [bob.userId] })
  await alice.invite(room, carol.userId)
  await carol.join(room)
  const { next_batch: since } = await bob.sync()
  await alice.sendState(room, 'm.room.topic', { topic: 'still secret' })
  await say(alice, room, 'hidden')
  await bob.leave(room)
  for (const query of [{ since }, { since, use_state_after: true }]) {
    const answer = await bob.sync(query)
    expect(answer.device_lists).toBeUndefined()
    const left = answer.rooms.leave[room]
    expect(left.timeline.events.map((event: Answer) => [event.type, event.state_key])).toEqual([
      ['m.room.member', bob.userId],
    ])
    expect((left.state ?? left.state_after).events).toEqual([])
  }
  const all2 = await bob.sync({ filter: JSON.stringify({ room: { include_leave: true } }) })
  expect(JSON.stringify(all2.rooms.leave[room])).not.toMatch(/secret|hidden|Secret/)
})

test('invites and new names are no changes of device lists; joining and leaving are', async () => {
  await using all = await threeUsers()
  const { alice, bob, carol } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  let { next_batch: since } = await alice.sync()
  await alice.invite(room, carol.userId)
  await bob.put(`/profile/${path(bob.userId)}/displayname`, { displayname: 'Robert' })
  const quiet = await alice.sync({ since })
  expect(quiet.device_lists).toBeUndefined()
  since = quiet.next_batch
  await carol.join(room)
  const joined = await alice.sync({ since })
  expect(joined.device_lists).toEqual({ changed: [carol.userId], left: [] })
  since = joined.next_batch
  await carol.leave(room)
  expect((await alice.sync({ since })).device_lists).toEqual({ changed: [], left: [carol.userId] })
})

test('ignored users: messages, invites, receipts and counts are hidden, state is not', async () => {
  await using all = await threeUsers()
  const { alice, bob, carol } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await carol.join(room)
  await ignore(alice, bob)
  const { next_batch: since } = await alice.sync()
  const { event_id: last } = await say(bob, room, 'unwanted', { 'm.mentions': { user_ids: [alice.userId] } })
  await bob.put(`/profile/${path(bob.userId)}/displayname`, { displayname: 'Robert' })
  await bob.post(`/rooms/${path(room)}/receipt/m.read/${path(last)}`)
  await bob.createRoom({ invite: [alice.userId] })
  await say(carol, room, 'wanted')
  for (const query of [{ since }, {}]) {
    const answer = await alice.sync(query)
    const told = answer.rooms.join[room]
    expect(bodies(told.timeline.events)).toEqual(['wanted'])
    expect(JSON.stringify(told)).toContain('Robert')
    expect(JSON.stringify(told.ephemeral)).not.toContain(bob.userId)
    expect(told.unread_notifications).toEqual({ notification_count: 1, highlight_count: 0 })
    expect(answer.rooms.invite).toBeUndefined()
  }
})

test('a filter by type still finds as many events as it asks for', async () => {
  await using all = await threeUsers()
  const { alice } = all
  const room = await alice.createRoom()
  for (let number = 0; number < 4; number++) await say(alice, room, `wanted ${number}`)
  for (let number = 0; number < 60; number++) await alice.send(room, 'test.noise', { number })
  const filter = JSON.stringify({ room: { timeline: { limit: 3, types: ['m.room.message'] } } })
  const told = (await alice.sync({ filter })).rooms.join[room]
  expect(bodies(told.timeline.events)).toEqual(['wanted 1', 'wanted 2', 'wanted 3'])
  expect(told.timeline.limited).toBe(true)
  const page = await alice.get(`/rooms/${path(room)}/messages`, { dir: 'b', from: told.timeline.prev_batch, limit: 1 })
  expect(bodies(page.chunk)).toEqual(['wanted 0'])
})

test('filters: no events at all, and rooms by part', async () => {
  await using all = await threeUsers()
  const { alice } = all
  const [one, other] = [await alice.createRoom({ name: 'One' }), await alice.createRoom({ name: 'Other' })]
  const sync = async (room: object) => (await alice.sync({ filter: JSON.stringify({ room }) })).rooms?.join ?? {}
  const none = (await sync({ timeline: { limit: 0 } }))[one]
  expect(none.timeline).toMatchObject({ events: [], limited: true })
  expect(none.state.events.map((event: Answer) => event.type)).toContain('m.room.name')
  expect(Object.keys(await sync({ rooms: [other] }))).toEqual([other])
  expect(Object.keys(await sync({ not_rooms: [other] }))).toEqual([one])
  const parts = await sync({ timeline: { not_rooms: [one] }, state: { not_rooms: [other] } })
  expect(parts[one].timeline.events).toEqual([])
  expect(parts[other].state.events).toEqual([])
})

test('C29: a room that was left shows up to the leaving and nothing after; a waiting sync ends with it', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  await say(alice, room, 'before')
  const waiting = bob.sync({ since: (await bob.sync({ since })).next_batch, timeout: 20_000 })
  await alice.membership(room, 'kick', { user_id: bob.userId })
  expect(Object.keys((await waiting).rooms.leave)).toEqual([room])
  await say(alice, room, 'after')
  await alice.sendState(room, 'm.room.topic', { topic: 'after' })
  for (const query of [{ since }, { filter: JSON.stringify({ room: { include_leave: true } }) }]) {
    const left = (await bob.sync(query)).rooms.leave[room]
    expect(bodies(left.timeline.events)).toEqual(['before'])
    expect(left.timeline.events.at(-1)).toMatchObject({ state_key: bob.userId, content: { membership: 'leave' } })
    expect(JSON.stringify(left.state)).not.toContain('after')
  }
  const gone = await bob.sync({ since: (await bob.sync({ since })).next_batch })
  expect(gone.rooms).toBeUndefined()
  await bob.join(room)
  const back = (await bob.sync({ since })).rooms.join[room]
  expect(JSON.stringify(back)).toContain('"topic":"after"')
})

test('a gap: limited, the state of the gap, and a token that closes it', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  await alice.sendState(room, 'm.room.topic', { topic: 'in the gap' })
  for (let number = 0; number < 100; number++) await say(alice, room, `${number}`)
  const told = (await bob.sync({ since })).rooms.join[room]
  expect(told.timeline.limited).toBe(true)
  expect(bodies(told.timeline.events)).toEqual(Array.from({ length: 10 }, (_, index) => `${90 + index}`))
  expect(told.state.events.map((event: Answer) => event.content)).toEqual([{ topic: 'in the gap' }])
  const query = { dir: 'b', from: told.timeline.prev_batch, to: since, limit: 1000 }
  const gap = (await bob.get(`/rooms/${path(room)}/messages`, query)).chunk
  expect(bodies(gap)).toEqual(Array.from({ length: 90 }, (_, index) => `${89 - index}`))
  const whole = (await bob.sync({ since, full_state: true })).rooms.join[room]
  expect(whole.state.events.map((event: Answer) => event.type)).toContain('m.room.create')
})

test('the state after the timeline tells what the timeline changes', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  await alice.sendState(room, 'm.room.topic', { topic: 'new' })
  const before = (await bob.sync({ since })).rooms.join[room]
  expect(before.state.events).toEqual([])
  const after = (await bob.sync({ since, use_state_after: true })).rooms.join[room]
  expect(after.state).toBeUndefined()
  expect(after.state_after.events.map((event: Answer) => event.content)).toEqual([{ topic: 'new' }])
  const hidden = JSON.stringify({ room: { timeline: { types: ['m.room.message'] } } })
  const filtered = (await bob.sync({ since, filter: hidden })).rooms.join[room]
  expect(filtered.state.events.map((event: Answer) => event.content)).toEqual([{ topic: 'new' }])
})

test('account data of a quiet room is told', async () => {
  await using all = await threeUsers()
  const { alice } = all
  const room = await alice.createRoom()
  const { next_batch: since } = await alice.sync()
  await alice.put(`/user/${path(alice.userId)}/rooms/${path(room)}/tags/m.favourite`, { order: 0.5 })
  const told = (await alice.sync({ since })).rooms.join[room]
  expect(told.account_data.events).toMatchObject([{ type: 'm.tag' }])
})

test('a redacted event is told without its content, however little memory knows of that', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  const { event_id: eventId } = await say(alice, room, 'regretted')
  await alice.put(`/rooms/${path(room)}/redact/${path(eventId)}/r1`, {})
  for (const query of [{ since }, {}]) {
    expect(JSON.stringify((await bob.sync(query)).rooms.join[room])).not.toContain('regretted')
  }
})

test('unread messages of threads are counted apart, and read apart', async () => {
  await using all = await threeUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { event_id: root } = await say(alice, room, 'root')
  const { event_id: inMain } = await say(alice, room, 'main')
  const { event_id: first } = await say(alice, room, 'one', inThread(root))
  const mention = { ...inThread(root), 'm.mentions': { user_ids: [bob.userId] } }
  const { event_id: second } = await say(alice, room, 'two', mention)
  const filter = JSON.stringify({ room: { timeline: { unread_thread_notifications: true } } })
  const warm: { since?: string } = {}
  const counts = async () => {
    const query = warm.since === undefined ? { filter } : { filter, since: warm.since }
    const [cold, plain, news] = [await bob.sync({ filter }), await bob.sync(), await bob.sync(query)]
    warm.since = news.next_batch
    const { unread_notifications: main, unread_thread_notifications: threads = {} } = cold.rooms.join[room]
    const told = news.rooms?.join?.[room]
    if (told) expect([told.unread_notifications, told.unread_thread_notifications ?? {}]).toEqual([main, threads])
    const all = plain.rooms.join[room].unread_notifications
    const thread = threads[root]
    return [main, thread, all].map((one) => one && [one.notification_count, one.highlight_count])
  }
  const read = (eventId: string, threadId?: string) =>
    bob.post(`/rooms/${path(room)}/receipt/m.read/${path(eventId)}`, threadId ? { thread_id: threadId } : {})

  expect(await counts()).toEqual([
    [2, 0],
    [2, 1],
    [4, 1],
  ])
  await read(first, root)
  expect(await counts()).toEqual([
    [2, 0],
    [1, 1],
    [3, 1],
  ])
  await read(inMain, 'main')
  expect(await counts()).toEqual([
    [0, 0],
    [1, 1],
    [1, 1],
  ])
  await say(alice, room, 'three', inThread(root))
  expect(await counts()).toEqual([
    [0, 0],
    [2, 1],
    [2, 1],
  ])
  const { event_id: later } = await say(alice, room, 'main again')
  expect(await counts()).toEqual([
    [1, 0],
    [2, 1],
    [3, 1],
  ])
  await read(later, 'main')
  expect(await counts()).toEqual([
    [0, 0],
    [2, 1],
    [2, 1],
  ])
  const refused = await bob.attempt('post', `/rooms/${path(room)}/receipt/m.read/${path(second)}`, {
    body: { thread_id: 'main' },
  })
  expect(refused).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  await read(later)
  expect(await counts()).toEqual([[0, 0], undefined, [0, 0]])
})

test('the device that sent an event is told its transaction id, also by another process; nobody else is', async () => {
  await using server = await startTestServer({ redis: true })
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const tablet = await server.logIn('alice')
  const { event_id: root } = await alice.send(room, 'm.room.message', { body: 'mine' }, 'txn-of-alice')
  await alice.send(room, 'm.room.message', { body: 'in thread', ...inThread(root) }, 'txn-in-thread')
  const told = async (client: TestClient) => {
    const events = (await client.sync()).rooms.join[room].timeline.events
    return events.find((event: Answer) => event.event_id === root).unsigned
  }
  for (const process of [server, other]) {
    expect((await told(process.adopt(alice))).transaction_id).toBe('txn-of-alice')
    for (const client of [bob, tablet]) expect(JSON.stringify(await told(process.adopt(client)))).not.toContain('txn-')
  }
})

test('bundled: a thread tells its newest message with its edit; redacted, ignored and hidden ones do not count', async () => {
  await using all = await threeUsers()
  const { alice, bob, carol } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await carol.join(room)
  const { event_id: root } = await say(alice, room, 'root')
  const { event_id: answer } = await say(bob, room, 'first', inThread(root))
  const edit = { 'm.new_content': { body: 'edited' }, 'm.relates_to': { rel_type: 'm.replace', event_id: answer } }
  await say(bob, room, '* edited', edit)
  const thread = async (client: TestClient) =>
    (await client.get(`/rooms/${path(room)}/event/${path(root)}`)).unsigned['m.relations']?.['m.thread']
  expect(await thread(carol)).toMatchObject({
    count: 1,
    current_user_participated: false,
    latest_event: { event_id: answer, unsigned: { 'm.relations': { 'm.replace': { content: { body: '* edited' } } } } },
  })
  const { event_id: regretted } = await say(bob, room, 'regretted', inThread(root))
  await bob.put(`/rooms/${path(room)}/redact/${path(regretted)}/r1`, {})
  expect(await thread(carol)).toMatchObject({ count: 1, latest_event: { event_id: answer } })
  await carol.leave(room)
  const { event_id: unseen } = await say(alice, room, 'unseen', inThread(root))
  expect(await thread(carol)).toMatchObject({ count: 1, latest_event: { event_id: answer } })
  await ignore(alice, bob)
  expect(await thread(alice)).toMatchObject({ count: 1, latest_event: { event_id: unseen } })
})

test('typing is told by the other process', async () => {
  await using server = await startTestServer({ redis: true })
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const bob = other.adopt(await server.register('bob'))
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  const waiting = bob.sync({ since, timeout: 20_000 })
  await alice.put(`/rooms/${path(room)}/typing/${path(alice.userId)}`, { typing: true, timeout: 30_000 })
  const { ephemeral } = (await waiting).rooms.join[room]
  expect(ephemeral.events).toEqual([{ type: 'm.typing', content: { user_ids: [alice.userId] } }])
})
