import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { UserId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signEvent, signingKeyFromSeed } from '../src/matrix/signatures.ts'
import { startIdentityServer } from '../src/testing/identity-server.ts'
import { mediaRequest } from '../src/testing/media-requests.ts'
import { Program } from '../src/testing/program.ts'
import { hostRoom, joinHostile } from './attacked-room.fixtures.ts'
import { reloadFederation, startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const v1 = '/_matrix/federation/v1'

/** Our server, and one that it had to do with until it was denied. */
async function denied(dryRun = false) {
  const home = await startFederatedServer()
  const hostile = await startHostileServer()
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  const room = await joinHostile(hostile, home, roomId)
  reloadFederation(home, { deny: [hostile.name], dry_run: dryRun })
  hostile.asked.length = 0
  return {
    home,
    hostile,
    alice,
    roomId,
    room,
    /** How often a rule has barred somebody at an edge. */
    async barred(edge: string, outcome = 'refused'): Promise<number> {
      const text = await home.ctx.metrics.scrape()
      const line = new RegExp(
        `^chappe_federation_barred_total\\{rule="deny",edge="${edge}",outcome="${outcome}"\\} (\\d+)$`,
        'm',
      )
      return Number(line.exec(text)?.[1] ?? 0)
    },
    async [Symbol.asyncDispose]() {
      await home[Symbol.asyncDispose]()
      await hostile[Symbol.asyncDispose]()
    },
  }
}

test('requests of a server that is not federated with', async () => {
  await using closed = await denied()
  for (const uri of [`${v1}/publicRooms`, `${v1}/query/profile?user_id=${enc(closed.alice.userId)}`]) {
    const { status, body } = await closed.hostile.request(closed.home, 'GET', uri)
    expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN'])
  }
  expect(await closed.barred('request')).toBe(2)
})

test('invites, profiles, aliases, directories, summaries and keys of its users and rooms', async () => {
  await using closed = await denied()
  const { alice, hostile, home } = closed
  const userId = `@x:${hostile.name}`
  const other = await alice.createRoom()
  const attempts: [method: string, path: string, body?: object][] = [
    ['post', `/rooms/${enc(other)}/invite`, { user_id: userId }],
    ['get', `/profile/${enc(userId)}`],
    ['get', `/directory/room/${enc(`#a:${hostile.name}`)}`],
    ['post', `/join/${enc(`#a:${hostile.name}`)}`, {}],
    ['post', `/join/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`, {}],
    ['post', `/knock/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`, {}],
    ['get', `/publicRooms?server=${enc(hostile.name)}`],
    ['get', `/_matrix/client/v1/room_summary/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`],
  ]
  for (const [method, path, body] of attempts) {
    const { status } = await alice.attempt(method, path, body && { body })
    expect([path, status]).toEqual([path, expect.toSatisfy((code: number) => code === 403 || code === 404)])
  }
  const keys = await alice.post('/keys/query', { device_keys: { [userId]: [] } })
  expect([keys.device_keys, Object.keys(keys.failures)]).toEqual([{}, [hostile.name]])
  const notary = await home.request('get', `/_matrix/key/v2/query/${enc(hostile.name)}`)
  expect(notary.body).toEqual({ server_keys: [] })
  expect(hostile.asked).toEqual([])
  expect(await closed.barred('outbound')).toBeGreaterThan(0)
  expect(await closed.barred('join')).toBeGreaterThan(0)
  expect(await closed.barred('keys')).toBe(1)
})

test('its media', async () => {
  await using closed = await denied()
  const path = `/_matrix/client/v1/media/download/${closed.hostile.name}/one`
  expect((await mediaRequest(closed.alice, 'GET', path)).status).toBe(404)
  expect(closed.hostile.asked).toEqual([])
  expect(await closed.barred('media')).toBeGreaterThan(0)
})

test('events of its users that an allowed server passes on', async () => {
  await using closed = await denied()
  await using allowed = await startHostileServer()
  const { home, room, roomId, alice } = closed
  await joinHostile(allowed, home, roomId, 'relay')
  const event = room.build()
  const answer = await allowed.send(home, [event.pdu])
  expect(answer[event.eventId]).toEqual({ error: expect.stringContaining('not federated with') })
  const { chunk } = await alice.get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 50 })
  expect(chunk.map(({ event_id: id }: { event_id: string }) => id)).not.toContain(event.eventId)
  expect(await closed.barred('event')).toBe(1)
})

test('what is sent goes to the others of the room alone', async () => {
  await using closed = await denied()
  await using allowed = await startHostileServer()
  const { alice, hostile, home, roomId } = closed
  await joinHostile(allowed, home, roomId, 'other')
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'confidential' })
  await expect.poll(() => allowed.heard.some(({ content }) => content.body === 'confidential')).toBe(true)
  expect(hostile.asked).toEqual([])
  expect(await closed.barred('sending')).toBeGreaterThan(0)
})

test('a dry run refuses nobody, and counts whom it would', async () => {
  await using closed = await denied(true)
  const { hostile, home, room, alice, roomId } = closed
  expect((await hostile.request(home, 'GET', `${v1}/publicRooms`)).status).toBe(200)
  await room.push(home, room.build({ content: { msgtype: 'm.text', body: 'let through' } }))
  await sees(alice, roomId, 'let through')
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'answer' })
  await expect.poll(() => hostile.heard.some(({ content }) => content.body === 'answer')).toBe(true)
  for (const edge of ['request', 'event', 'outbound', 'sending']) {
    expect(await closed.barred(edge, 'let_through'), edge).toBeGreaterThan(0)
    expect(await closed.barred(edge), edge).toBe(0)
  }
})

test('the lists are read again on SIGHUP, and what cannot be read changes nothing', async () => {
  await using hostile = await startHostileServer()
  const folder = mkdtempSync(join(tmpdir(), 'chappe-closed-'))
  const file = join(folder, 'config.yaml')
  const write = (deny: string): void =>
    writeFileSync(
      file,
      `server_names: [a.test]
data_dir: ${folder}
port: 0
federation: { allow: ['*'], deny: ${deny}, allow_addresses: [127.0.0.0/8], insecure_http: true }
`,
    )
  write(`['${hostile.name}']`)
  const program = new Program(['start', '--config', file], {})
  try {
    const url = await program.url()
    const uri = `${v1}/publicRooms`
    const status = async (): Promise<number> =>
      (await fetch(url + uri, { headers: { authorization: hostile.authorization('a.test', 'GET', uri) } })).status
    expect(await status()).toBe(403)
    write('[]')
    program.child.kill('SIGHUP')
    await expect.poll(status, { timeout: 10_000 }).toBe(200)
    write('no list')
    program.child.kill('SIGHUP')
    await expect.poll(() => program.stdout.includes('cannot be read again'), { timeout: 10_000 }).toBe(true)
    expect(await status()).toBe(200)
    write("['*']")
    program.child.kill('SIGHUP')
    await expect.poll(status, { timeout: 10_000 }).toBe(403)
  } finally {
    await program.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)

test('a room that an allowed server lets us into has nothing of the users of others', async () => {
  await using home = await startFederatedServer()
  await using allowed = await startHostileServer()
  await using other = await startHostileServer()
  other.key = signingKeyFromSeed('other', Buffer.alloc(32, 11))
  const alice = await home.register('alice')
  const room = hostRoom(allowed)
  const eve: UserId = `@eve:${other.name}`
  const byEve = (forged: { type?: string; stateKey?: string; content: JsonObject }): RoomEvent => {
    const { pdu } = room.build({ sender: eve, ...forged })
    const { hashes: _hashes, signatures: _signatures, ...bare } = pdu
    const event = other.stamp(bare as unknown as JsonObject, room.rules)
    room.take([event])
    room.ends = [event]
    room.events.push(event)
    return event
  }
  byEve({ type: 'm.room.member', stateKey: eve, content: { membership: 'join', displayname: 'Eve' } })
  byEve({ content: { msgtype: 'm.text', body: 'of before' } })
  room.add({ content: { msgtype: 'm.text', body: 'sound' } })
  allowed.answer = (asked) => {
    if (asked.path.includes('/backfill/')) return { body: { pdus: [...room.events].reverse().map(({ pdu }) => pdu) } }
    return room.answerTo(asked)
  }
  reloadFederation(home, { allow: [allowed.name] })
  other.asked.length = 0
  expect((await alice.attempt('post', `/join/${enc(room.roomId)}?via=${enc(allowed.name)}`, { body: {} })).status).toBe(
    200,
  )
  const { joined } = await alice.get(`/rooms/${enc(room.roomId)}/joined_members`)
  expect(Object.keys(joined).sort()).toEqual([alice.userId, room.user()].sort())
  const { chunk } = await alice.get(`/rooms/${enc(room.roomId)}/messages`, { dir: 'b', limit: 100 })
  expect(chunk.map(({ sender }: { sender: string }) => sender)).not.toContain(eve)
  expect(chunk.map(({ content }: { content: JsonObject }) => content.body)).toContain('sound')
  // Nor is anybody asked about its keys.
  expect(other.asked).toEqual([])
  expect(allowed.asked.filter(({ path }) => path.startsWith('/_matrix/key/v2/query'))).toEqual([])

  // A room that one of them has made cannot be entered, and who lets in must be somebody whom we know.
  const theirs = hostRoom(allowed, 'theirs')
  const create = theirs.at('m.room.create')
  const { hashes: _hashes, signatures: _signatures, ...bare } = create.pdu
  theirs.take([other.stamp({ ...bare, sender: eve } as unknown as JsonObject, theirs.rules)])
  allowed.answer = (asked) => theirs.answerTo(asked)
  expect(
    (await alice.attempt('post', `/join/${enc(theirs.roomId)}?via=${enc(allowed.name)}`, { body: {} })).status,
  ).toBe(403)
})

test('notaries are not asked about it, and its signature vouches for nobody', async () => {
  await using hostile = await startHostileServer()
  await using notary = await startHostileServer()
  await using home = await startFederatedServer({ notaries: [notary.name], allow: [notary.name] })
  expect(await home.ctx.domains.isLocal(hostile.name)).toBe(false)
  const alice = await home.register('alice')
  const restricted = await alice.createRoom({
    preset: 'public_chat',
    room_version: '10',
    power_level_content_override: { invite: 0 },
  })
  const room = await joinHostile(notary, home, restricted, 'relay')
  const vouched = room.build({
    type: 'm.room.member',
    stateKey: room.user('new'),
    sender: room.user('new'),
    content: { membership: 'join', join_authorised_via_users_server: `@eve:${hostile.name}` },
  })
  const pdu = signEvent(vouched.pdu, hostile.name, hostile.key, room.rules)
  const answer = await notary.send(home, [pdu])
  expect(answer[vouched.eventId]).toEqual({ error: expect.stringContaining(hostile.name) })
  expect(hostile.asked).toEqual([])
  expect(notary.asked.filter(({ path }) => path.startsWith('/_matrix/key/v2/query'))).toEqual([])
})

test('what cannot be sent to its users does not wait', async () => {
  await using closed = await denied()
  const { alice, hostile, home } = closed
  const messages = { [`@x:${hostile.name}`]: { '*': { body: 'x' } } }
  await alice.put('/sendToDevice/m.test/1', { messages })
  expect(await home.ctx.database.db.selectFrom('outgoing_to_device').select('position').execute()).toEqual([])
  const claimed = await alice.post('/keys/claim', {
    one_time_keys: { [`@x:${hostile.name}`]: { D: 'signed_curve25519' } },
  })
  expect(Object.keys(claimed.failures)).toEqual([hostile.name])
  expect(hostile.asked).toEqual([])
})

test('invites to its users by an address, and of ours to its rooms', async () => {
  await using identity = await startIdentityServer()
  await using home = await startFederatedServer(
    {},
    { config: { mail: { identity_servers: [identity.recording.url] } } },
  )
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = await alice.createRoom({ preset: 'private_chat' })
  reloadFederation(home, { deny: [hostile.name] })
  const eve = `@eve:${hostile.name}`
  identity.bound.set('eve@b.example', eve)
  const byAddress = { medium: 'email', id_server: identity.name, id_access_token: 'abc' }
  const place = `/rooms/${enc(room)}/invite`
  const bound = await alice.attempt('post', place, { body: { ...byAddress, address: 'eve@b.example' } })
  expect([bound.status, bound.body.errcode]).toEqual([403, 'M_FORBIDDEN'])
  await alice.post(place, { ...byAddress, address: 'later@b.example' })
  const { invites } = identity.onBind('later@b.example', eve) as { invites: { signed: JsonObject }[] }
  const exchange = {
    type: 'm.room.member',
    room_id: room,
    sender: alice.userId,
    state_key: eve,
    content: { membership: 'invite', third_party_invite: { display_name: 'x', signed: invites[0]!.signed } },
  }
  const uri = `${v1}/exchange_third_party_invite/${enc(room)}`
  expect((await hostile.request(home, 'PUT', uri, { body: exchange })).status).toBe(403)
  // An identity server says that one of ours is invited by one of theirs.
  const told = { address: 'a@b.example', medium: 'email', mxid: alice.userId }
  const theirs = {
    ...told,
    room_id: `!r:${hostile.name}`,
    sender: eve,
    signed: { ...invites[0]!.signed, mxid: alice.userId },
  }
  await home.request('put', `${v1}/3pid/onbind`, { body: { ...told, invites: [theirs] } })
  const { chunk } = await alice.get(`/rooms/${enc(room)}/members`)
  expect(chunk.map((event: { state_key: string }) => event.state_key)).toEqual([alice.userId])
  expect(hostile.asked).toEqual([])
})
