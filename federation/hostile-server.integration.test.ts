import { expect, test } from 'vitest'
import type { EventId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signedRequest, startFederatedServer } from './federated-server.fixtures.ts'

test('F02, F04: requests for others, changed after signing or of another origin are refused', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const uri = '/_matrix/federation/v1/send/t1'
  const body = { pdus: [] }
  expect((await signedRequest(remote, home, 'PUT', uri, { body })).status).toBe(200)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, destination: 'other.test' })).status).toBe(401)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, sent: { pdus: [], edus: [] } })).status).toBe(401)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, origin: home.ctx.domains.default })).status).toBe(401)
})

test('F25, F55: too much in one transaction is refused, and a repeated one is answered alike', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const send = (txnId: string, pdus: number, edus: number) =>
    signedRequest(remote, home, 'PUT', `/_matrix/federation/v1/send/${txnId}`, {
      body: { pdus: new Array(pdus).fill({}), edus: new Array(edus).fill({}) },
    })
  expect((await send('a', 51, 0)).status).toBe(400)
  expect((await send('b', 0, 101)).status).toBe(400)
  expect((await send('c', 50, 100)).status).toBe(200)
  const answers = await Promise.all(Array.from({ length: 5 }, () => send('d', 1, 0)))
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
})

test('F41: events of a room are only shown to servers in it, and unknown ones look the same', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const secret = await alice.createRoom({ preset: 'private_chat' })
  const { event_id: hidden } = await alice.send(secret, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  const open = await alice.createRoom({ preset: 'public_chat' })
  await mallory.post(`/join/${encodeURIComponent(open)}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const unknown = `$${'x'.repeat(43)}`
  const paths = (eventId: string): string[] => [
    `/_matrix/federation/v1/event/${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/state/${encodeURIComponent(open)}?event_id=${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/state_ids/${encodeURIComponent(open)}?event_id=${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/event_auth/${encodeURIComponent(open)}/${encodeURIComponent(eventId)}`,
  ]
  for (const [index, path] of paths(hidden).entries()) {
    const one = await signedRequest(remote, home, 'GET', path)
    const other = await signedRequest(remote, home, 'GET', paths(unknown)[index]!)
    expect(one.status).toBe(404)
    expect(one.body).toEqual(other.body)
  }
})

test('F13: an event that its sender’s server has not signed goes nowhere', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await mallory.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const { event_id: eventId } = await mallory.send(room, 'm.room.message', { msgtype: 'm.text', body: 'mine' })
  const [stored] = await remote.ctx.events.byIds([eventId], { edges: true })
  const forged = { ...stored!.event.pdu, sender: alice.userId } as unknown as JsonObject
  const answer = await signedRequest(remote, home, 'PUT', '/_matrix/federation/v1/send/f', { body: { pdus: [forged] } })
  expect(answer.status).toBe(200)
  expect(Object.values(answer.body.pdus)).toEqual([{ error: expect.stringContaining('signature') }])
})

test('F11: memberships of another room, of another kind or of somebody else are not taken in', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const rooms = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom({ preset: 'public_chat' })]
  const [one, other] = rooms.map((room) => encodeURIComponent(room))
  await mallory.post(`/join/${one}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const stored = async (eventId: string): Promise<JsonObject> => {
    const [event] = await remote.ctx.events.byIds([eventId as EventId], { edges: true })
    return event!.event.pdu as unknown as JsonObject
  }
  const { event_id: message } = await mallory.send(rooms[0]!, 'm.room.message', { msgtype: 'm.text', body: 'x' })
  const hot = await remote.ctx.hotRooms.get(rooms[0]!)
  const join = hot!.get('m.room.member', mallory.userId)!.eventId
  const attempts: [path: string, eventId: string][] = [
    ['v1/send_join', message],
    ['v2/send_join', message],
    ['v1/send_leave', join],
    ['v2/send_leave', join],
    ['v1/send_knock', join],
  ]
  for (const [path, eventId] of attempts) {
    for (const room of [one, other]) {
      const uri = `/_matrix/federation/${path}/${room}/${encodeURIComponent(eventId)}`
      const answer = await signedRequest(remote, home, 'PUT', uri, { body: await stored(eventId) })
      expect(answer.status, `${path} ${room}`).toBe(400)
    }
  }
  const elsewhere = `/_matrix/federation/v2/send_join/${other}/${encodeURIComponent(join)}`
  expect((await signedRequest(remote, home, 'PUT', elsewhere, { body: await stored(join) })).status).toBe(400)
  const forOthers = `/_matrix/federation/v1/make_join/${one}/${encodeURIComponent(alice.userId)}?ver=12`
  expect((await signedRequest(remote, home, 'GET', forOthers)).status).toBe(403)
})

test('F34, F35: what is told of users of others changes nothing', async () => {
  await using home = await startFederatedServer({}, { config: { presence: { enabled: true } } })
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const bob = await home.register('bob')
  const mallory = await remote.register('mallory')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await mallory.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'x' })
  const secret = await alice.createRoom({ preset: 'private_chat' })
  const { event_id: hidden } = await alice.send(secret, 'm.room.message', { msgtype: 'm.text', body: 'x' })
  const { next_batch: since } = await alice.sync()
  const others = [bob.userId, '@carol:third.test']
  const edus = others.flatMap((userId) => [
    { edu_type: 'm.typing', content: { room_id: room, user_id: userId, typing: true } },
    {
      edu_type: 'm.receipt',
      content: { [room]: { 'm.read': { [userId]: { event_ids: [eventId], data: { ts: 1 } } } } },
    },
    { edu_type: 'm.device_list_update', content: { user_id: userId, device_id: 'X', stream_id: 1, prev_id: [] } },
    { edu_type: 'm.signing_key_update', content: { user_id: userId } },
    { edu_type: 'm.presence', content: { push: [{ user_id: userId, presence: 'online', status_msg: 'forged' }] } },
    {
      edu_type: 'm.direct_to_device',
      content: { sender: userId, type: 't', message_id: 'm', messages: { [alice.userId]: { '*': {} } } },
    },
  ])
  // Nor what a user of their own does in a room that they are not in.
  const elsewhere = [
    { edu_type: 'm.typing', content: { room_id: secret, user_id: mallory.userId, typing: true } },
    {
      edu_type: 'm.receipt',
      content: { [secret]: { 'm.read': { [mallory.userId]: { event_ids: [hidden], data: { ts: 1 } } } } },
    },
  ]
  const odd: JsonObject[] = [
    {},
    { edu_type: 7 } as JsonObject,
    { edu_type: 'm.typing', content: [] as unknown as JsonObject },
  ]
  const body = { pdus: [], edus: [...edus, ...elsewhere, ...odd] as unknown as JsonObject[] }
  expect((await signedRequest(remote, home, 'PUT', '/_matrix/federation/v1/send/e', { body })).status).toBe(200)
  const sync = await alice.sync({ since, timeout: 0 })
  expect(sync.to_device?.events ?? []).toEqual([])
  expect(sync.device_lists?.changed ?? []).toEqual([])
  for (const of of [room, secret]) expect(sync.rooms?.join?.[of]?.ephemeral?.events ?? []).toEqual([])
  expect(JSON.stringify(sync.presence ?? {})).not.toContain('forged')
})

test('F44: users of the deployment who do not exist, and of other servers, are not talked about', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  await remote.register('mallory')
  const ask = (path: string) => signedRequest(remote, home, 'GET', `/_matrix/federation/v1/${path}`)
  const nobody = encodeURIComponent(`@nobody:${home.ctx.domains.default}`)
  for (const userId of [encodeURIComponent('@a:third.test'), nobody]) {
    expect((await ask(`query/profile?user_id=${userId}`)).status).toBe(404)
  }
  expect((await ask(`user/devices/${encodeURIComponent('@a:third.test')}`)).status).toBe(404)
})

test('F37: messages to devices of nobody leave nothing behind', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const own = remote.ctx.domains.default
  const count = async (): Promise<number> =>
    (await home.ctx.database.db.selectFrom('users').select('user_nid').execute()).length
  const before = await count()
  const edus = Array.from({ length: 100 }, (_, index) => ({
    edu_type: 'm.direct_to_device',
    content: {
      sender: `@sender${index}:${own}`,
      type: 't',
      message_id: `m${index}`,
      messages: { [`@nobody${index}:${home.ctx.domains.default}`]: { '*': {} }, '@a:third.test': { '*': {} } },
    },
  }))
  const body = { pdus: [], edus: edus as unknown as JsonObject[] }
  expect((await signedRequest(remote, home, 'PUT', '/_matrix/federation/v1/send/n', { body })).status).toBe(200)
  expect(await count()).toBe(before)
  expect(await home.ctx.database.db.selectFrom('to_device').select('position').execute()).toEqual([])
})
