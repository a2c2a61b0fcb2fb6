import { expect, test } from 'vitest'
import { startRecordingServer, startTestServer } from '../testing/index.ts'
import { asService, eventsUntil, hsToken, registerGhost, writeRegistration } from './bridge.fixtures.ts'

const unstable = 'de.sorunome.msc2409'

test('a service is told what happens in the rooms of its users, in order, and nothing else', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const ghost = await registerGhost(server, 'bob')
  const secret = await alice.createRoom()
  const room = await alice.createRoom({ preset: 'private_chat' })
  await alice.send(secret, 'm.room.message', { msgtype: 'm.text', body: 'not for ghosts' })
  await alice.invite(room, ghost)
  await asService(server, 'post', `/join/${encodeURIComponent(room)}`, { query: { user_id: ghost }, body: {} })
  const sent: string[] = []
  for (let index = 0; index < 20; index++) {
    sent.push((await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: `${index}` })).event_id)
  }
  const told = await eventsUntil(service, sent.at(-1)!)
  expect(told.slice(-20)).toEqual(sent)
  // The invite, the join and the messages: what was before is not its business.
  expect(told).toHaveLength(22)
  const [first] = service.requests
  expect(first).toMatchObject({ method: 'PUT', path: '/_matrix/app/v1/transactions/1' })
  expect(first!.headers.authorization).toBe(`Bearer ${hsToken}`)
  expect(first!.body.events[0]).toMatchObject({
    type: 'm.room.member',
    state_key: ghost,
    room_id: room,
    content: { membership: 'invite' },
  })
  const bodies = service.requests.flatMap((request) => request.body.events)
  expect(bodies.some((event) => event.room_id === secret)).toBe(false)
})

test('a transaction that is not taken comes again as it was, under its id, also from another process; nothing is lost', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using one = await startTestServer({ config: registration.config, redis: true })
  const alice = await one.register('alice')
  const ghost = await registerGhost(one, 'bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await asService(one, 'post', `/join/${encodeURIComponent(room)}`, { query: { user_id: ghost }, body: {} })
  const first = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '1' })
  await eventsUntil(service, first.event_id)
  service.answer = () => ({ status: 500 })
  const second = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '2' })
  const refused = await service.next()
  const third = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '3' })
  expect(refused.body.events.map((event: { event_id: string }) => event.event_id)).toEqual([second.event_id])
  await using other = await startTestServer({ sharing: one })
  service.answer = () => ({})
  await one.ctx.ownership.close()
  const again = await service.next()
  expect([again.path, again.body]).toEqual([refused.path, refused.body])
  await eventsUntil(service, third.event_id)
  expect(other.ctx.applicationServices.all).toHaveLength(1)
})

test('what happened while no process ran is told by the next that does', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using server = await startTestServer({ config: registration.config, redis: true })
  const alice = await server.register('alice')
  const ghost = await registerGhost(server, 'bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await asService(server, 'post', `/join/${encodeURIComponent(room)}`, { query: { user_id: ghost }, body: {} })
  const first = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '1' })
  await eventsUntil(service, first.event_id)
  await server.ctx.ownership.close()
  const sent = [first.event_id]
  for (const body of ['2', '3']) {
    sent.push((await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })).event_id)
  }
  await using _next = await startTestServer({ sharing: server })
  expect(await eventsUntil(service, sent.at(-1)!)).toEqual(sent.slice(1))
})

test('typing, receipts, messages to devices and counts of keys, for those who want them', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url, {
    [`${unstable}.push_ephemeral`]: true,
    receive_ephemeral: true,
    'org.matrix.msc3202': true,
  })
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const login = {
    body: { type: 'm.login.application_service', username: '_ghost_bob', device_id: 'GHOST' },
  }
  const ghost = (await asService(server, 'post', '/register', login)).body.user_id
  const room = await alice.createRoom({ preset: 'public_chat' })
  await asService(server, 'post', `/join/${encodeURIComponent(room)}`, { query: { user_id: ghost }, body: {} })
  const message = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })
  await eventsUntil(service, message.event_id)
  const until = async (key: string, type: string) => {
    for (;;) {
      const { body } = await service.next()
      const found = (body[key] ?? []).find((one: { type: string }) => one.type === type)
      if (found) return { found, body }
    }
  }
  await alice.put(`/rooms/${encodeURIComponent(room)}/typing/${encodeURIComponent(alice.userId)}`, {
    typing: true,
    timeout: 30_000,
  })
  expect((await until('ephemeral', 'm.typing')).found).toEqual({
    type: 'm.typing',
    room_id: room,
    content: { user_ids: [alice.userId] },
  })
  const path = `/rooms/${encodeURIComponent(room)}/receipt`
  await alice.post(`${path}/m.read.private/${encodeURIComponent(message.event_id)}`)
  await alice.post(`${path}/m.read/${encodeURIComponent(message.event_id)}`)
  const { found: receipt, body } = await until(`${unstable}.ephemeral`, 'm.receipt')
  expect(receipt).toEqual({
    type: 'm.receipt',
    room_id: room,
    content: { [message.event_id]: { 'm.read': { [alice.userId]: { ts: expect.any(Number) } } } },
  })
  expect(JSON.stringify(body)).not.toContain('m.read.private')
  await alice.put('/sendToDevice/org.example.key/t1', { messages: { [ghost]: { GHOST: { secret: 1 } } } })
  const { found: toDevice, body: withCounts } = await until('to_device', 'org.example.key')
  expect(toDevice).toEqual({
    type: 'org.example.key',
    sender: alice.userId,
    content: { secret: 1 },
    to_user_id: ghost,
    to_device_id: 'GHOST',
  })
  expect(withCounts['org.matrix.msc3202.device_one_time_keys_count']).toMatchObject({ [ghost]: { GHOST: {} } })
})
