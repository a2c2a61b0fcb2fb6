import { expect, test } from 'vitest'
import {
  type RecordingServer,
  startRecordingServer,
  startTestServer,
  type TestClient,
  type TestServer,
} from '../testing/index.ts'

const config = { push: { allow_addresses: ['127.0.0.0/8'], allow_insecure_http: true } }
const inTheClear = { push: { ...config.push, include_content: true } }

function pusherAt(gateway: { url: string }, over: object = {}): { data: object } & { [key: string]: unknown } {
  return {
    kind: 'http',
    app_id: 'org.example.app',
    pushkey: 'key',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'de',
    data: { url: `${gateway.url}/_matrix/push/v1/notify`, custom: { deep: true } },
    ...over,
  }
}

async function talk(server: TestServer): Promise<{ alice: TestClient; bob: TestClient; room: `!${string}` }> {
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Cabinet', invite: [bob.userId] })
  await bob.join(room)
  return { alice, bob, room }
}

async function nextNotification(gateway: RecordingServer) {
  const request = await gateway.next()
  expect(request).toMatchObject({ method: 'POST', path: '/_matrix/push/v1/notify' })
  return request.body.notification
}

test('a message is pushed with who wrote where, and without what it says', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const { alice, bob, room } = await talk(server)
  await bob.post('/pushers/set', pusherAt(gateway))
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  const notification = await nextNotification(gateway)
  expect(notification).toMatchObject({
    event_id: eventId,
    room_id: room,
    type: 'm.room.message',
    sender: alice.userId,
    sender_display_name: 'alice',
    room_name: 'Cabinet',
    counts: { unread: 1 },
    devices: [{ app_id: 'org.example.app', pushkey: 'key', data: { custom: { deep: true } }, tweaks: {} }],
  })
  expect(notification.devices[0].data.url).toBeUndefined()
  expect(notification.content).toBeUndefined()
})

test('event_id_only tells nothing else; the content is told where the operator wants it', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config: inTheClear })
  const { alice, bob, room } = await talk(server)
  const data = { url: `${gateway.url}/_matrix/push/v1/notify`, format: 'event_id_only' }
  await bob.post('/pushers/set', pusherAt(gateway, { data }))
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  expect(Object.keys(await nextNotification(gateway)).toSorted()).toEqual(
    ['counts', 'devices', 'event_id', 'prio', 'room_id'].toSorted(),
  )
  await bob.post('/pushers/set', pusherAt(gateway))
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`)
  expect(await nextNotification(gateway)).toMatchObject({ counts: { unread: 0 } })
  await alice.send(room, 'm.room.message', {
    msgtype: 'm.text',
    body: 'bob, answer',
    'm.mentions': { user_ids: [bob.userId] },
  })
  expect(await nextNotification(gateway)).toMatchObject({
    content: { body: 'bob, answer' },
    prio: 'high',
    devices: [{ tweaks: { highlight: true, sound: 'default' } }],
  })
})

test('reading makes the badge smaller, once; own messages, muted rooms and what is read already push nothing', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const { alice, bob, room } = await talk(server)
  const other = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await bob.join(other)
  await bob.post('/pushers/set', pusherAt(gateway))
  const first = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '1' })
  expect(await nextNotification(gateway)).toMatchObject({ counts: { unread: 1 } })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '2' })
  expect(await nextNotification(gateway)).toMatchObject({ counts: { unread: 1 } })
  await alice.send(other, 'm.room.message', { msgtype: 'm.text', body: '3' })
  expect(await nextNotification(gateway)).toMatchObject({ counts: { unread: 2 } })
  // Not all of it is read, so the number of rooms stays and nothing is told.
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(first.event_id)}`)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'mine' })
  const shown = await nextNotification(gateway)
  expect(shown).toEqual({ counts: { unread: 1 }, devices: [expect.anything()] })
  const rule = { conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }], actions: [] }
  await bob.put('/pushrules/global/override/mute', rule)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'unheard' })
  await alice.send(other, 'm.room.message', { msgtype: 'm.text', body: 'heard' })
  expect(await nextNotification(gateway)).toMatchObject({ room_id: other })
})

test('an invite is pushed to who is not in the room yet', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  await bob.post('/pushers/set', pusherAt(gateway))
  const room = await alice.createRoom({ invite: [bob.userId] })
  expect(await nextNotification(gateway)).toMatchObject({
    room_id: room,
    type: 'm.room.member',
    membership: 'invite',
    user_is_target: true,
    counts: { unread: 1 },
  })
})

test('a key the gateway rejects is removed; a pusher goes with its device, and with a user who takes over the address', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const { alice, bob, room } = await talk(server)
  gateway.answer = () => ({ body: { rejected: ['key'] } })
  await bob.post('/pushers/set', pusherAt(gateway))
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  await gateway.next()
  await expect.poll(async () => (await bob.get('/pushers')).pushers).toEqual([])

  await bob.post('/pushers/set', pusherAt(gateway))
  await alice.post('/pushers/set', pusherAt(gateway, { append: true }))
  expect((await bob.get('/pushers')).pushers).toHaveLength(1)
  await alice.post('/pushers/set', pusherAt(gateway))
  expect((await bob.get('/pushers')).pushers).toEqual([])
  const phone = await server.logIn('alice')
  await phone.post('/pushers/set', pusherAt(gateway, { app_id: 'phone' }))
  expect((await alice.get('/pushers')).pushers).toHaveLength(2)
  await phone.post('/logout')
  expect((await alice.get('/pushers')).pushers).toMatchObject([{ app_id: 'org.example.app', enabled: true }])
  await alice.post('/pushers/set', pusherAt(gateway, { kind: null }))
  expect((await alice.get('/pushers')).pushers).toEqual([])
})

test('a switched-off pusher is told nothing, and nothing of that time later', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const { alice, bob, room } = await talk(server)
  await bob.post('/pushers/set', pusherAt(gateway, { 'org.matrix.msc3881.enabled': false }))
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'unheard' })
  await bob.post('/pushers/set', pusherAt(gateway, { 'org.matrix.msc3881.enabled': true }))
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'heard' })
  expect(await nextNotification(gateway)).toMatchObject({ event_id: eventId })
})

test('what a gateway did not take is told again later, in order and once', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config })
  const { alice, bob, room } = await talk(server)
  await bob.post('/pushers/set', pusherAt(gateway))
  let refusals = 2
  gateway.answer = () => (refusals-- > 0 ? { status: 500 } : {})
  const sent: string[] = []
  for (const body of ['1', '2', '3']) {
    sent.push((await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })).event_id)
  }
  const told: string[] = []
  while (told.length < 5) told.push((await nextNotification(gateway)).event_id)
  expect(told).toEqual([sent[0], sent[0], ...sent])
})

test('none lost and none told twice while the process that pushes goes and another goes on', async () => {
  await using gateway = await startRecordingServer()
  await using one = await startTestServer({ config, redis: true })
  const { alice, bob, room } = await talk(one)
  await bob.post('/pushers/set', pusherAt(gateway))
  const other = await startTestServer({ sharing: one, config })
  const there = other.adopt(alice)
  const sent: string[] = []
  const send = async (client: TestClient, body: string): Promise<void> => {
    sent.push((await client.send(room, 'm.room.message', { msgtype: 'm.text', body }, body)).event_id)
  }
  for (let index = 0; index < 10; index++) await send(index % 2 === 0 ? alice : there, `early ${index}`)
  // The first process owned the pushing; now it ends in the midst of it.
  one.ctx.pushing.close().catch(() => {})
  await one.ctx.ownership.close()
  for (let index = 0; index < 10; index++) await send(there, `late ${index}`)
  while (gateway.requests.length < 20) await gateway.next()
  await other.close()
  expect(gateway.requests.map(({ body }) => body.notification.event_id)).toEqual(sent)
})

test('a pusher set at one process is served by another, at once and once', async () => {
  await using gateway = await startRecordingServer()
  await using one = await startTestServer({ config, redis: true })
  const { alice, bob, room } = await talk(one)
  await using other = await startTestServer({ sharing: one, config })
  await other.adopt(bob).post('/pushers/set', pusherAt(gateway))
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '1' })
  expect(await nextNotification(gateway)).toMatchObject({ event_id: eventId })
  await other.adopt(bob).post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`)
  expect(await nextNotification(gateway)).toEqual({ counts: { unread: 0 }, devices: [expect.anything()] })
  await other.adopt(bob).post('/pushers/set', pusherAt(gateway, { kind: null }))
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '2' })
  await other.adopt(bob).post('/pushers/set', pusherAt(gateway, { app_id: 'again' }))
  const { event_id: last } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: '3' })
  expect(await nextNotification(gateway)).toMatchObject({ event_id: last, devices: [{ app_id: 'again' }] })
})

test('addresses that are not to be connected to are not', async () => {
  await using gateway = await startRecordingServer()
  await using server = await startTestServer({ config: { push: { allow_insecure_http: true } } })
  const { alice, bob, room } = await talk(server)
  await bob.post('/pushers/set', pusherAt(gateway))
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  await expect
    .poll(() => server.ctx.database.db.selectFrom('pushers').select('failures').executeTakeFirst())
    .toEqual({ failures: 1 })
  expect(gateway.requests).toEqual([])
  for (const url of ['http://user@gateway.test/_matrix/push/v1/notify', 'https://gateway.test/else', 'ftp://x/', 'x']) {
    expect(await bob.attempt('post', '/pushers/set', { body: pusherAt(gateway, { data: { url } }) })).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    })
  }
  const { lang: _lang, ...incomplete } = pusherAt(gateway)
  expect(await bob.attempt('post', '/pushers/set', { body: incomplete })).toMatchObject({
    status: 400,
    body: { errcode: 'M_MISSING_PARAM', error: 'Missing: lang' },
  })
  expect(await bob.attempt('post', '/pushers/set', { body: pusherAt(gateway, { kind: 'pigeon' }) })).toMatchObject({
    status: 400,
    body: { errcode: 'M_INVALID_PARAM' },
  })
})

test('/notifications lists what a user was notified of, in pages', async () => {
  await using server = await startTestServer()
  const { alice, bob, room } = await talk(server)
  const sent: string[] = []
  for (let index = 0; index < 5; index++) {
    const mention = index === 2 && { 'm.mentions': { user_ids: [bob.userId] } }
    const content = { msgtype: 'm.text', body: `${index}`, ...mention }
    sent.push((await alice.send(room, 'm.room.message', content)).event_id)
  }
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(sent[2]!)}`)
  type Entry = { event: { event_id: string }; read: boolean }
  const first = await bob.get('/notifications', { limit: 3 })
  expect(first.notifications.map((entry: Entry) => [entry.event.event_id, entry.read])).toEqual([
    [sent[4], false],
    [sent[3], false],
    [sent[2], true],
  ])
  const second = await bob.get('/notifications', { limit: 3, from: first.next_token })
  expect(second.notifications.map((entry: Entry) => entry.event.event_id).slice(0, 2)).toEqual([sent[1], sent[0]])
  expect(second.next_token).toBeUndefined()
  const highlights = await bob.get('/notifications', { only: 'highlight' })
  expect(highlights.notifications.map((entry: Entry) => entry.event.event_id)).toEqual([sent[2]])
  expect(highlights.notifications[0].actions).toContainEqual({ set_tweak: 'highlight', value: true })
})
