import { expect, test } from 'vitest'
import { startTestServer, type TestClient } from '../../testing/index.ts'

const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2'
const room = '!room:a.test'
const otherRoom = `!${'a'.repeat(43)}`

function key(more: object = {}, text = 'secret') {
  const data = { ciphertext: text, ephemeral: 'e', mac: 'm' }
  return { first_message_index: 5, forwarded_count: 2, is_verified: false, session_data: data, ...more }
}

const keysPath = (...parts: string[]) => ['/room_keys/keys', ...parts.map(encodeURIComponent)].join('/')

const put = (client: TestClient, version: string, parts: string[], body: unknown) =>
  client.attempt('put', keysPath(...parts), { body, query: { version } })

async function createBackup(client: TestClient, authData: object = { public_key: 'abc' }): Promise<string> {
  return (await client.post('/room_keys/version', { algorithm, auth_data: authData })).version
}

test('versions of backups', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  expect((await alice.attempt('get', '/room_keys/version')).status).toBe(404)
  const first = await createBackup(alice)
  const backup = { algorithm, auth_data: { public_key: 'abc' }, count: 0, etag: '0', version: first }
  expect(await alice.get('/room_keys/version')).toEqual(backup)
  const second = await createBackup(alice, { public_key: 'def' })
  expect(second).not.toBe(first)
  expect((await alice.get('/room_keys/version')).version).toBe(second)
  expect(await alice.get(`/room_keys/version/${first}`)).toEqual(backup)

  const change = { algorithm, auth_data: { public_key: 'ghi' }, version: first }
  expect(await alice.put(`/room_keys/version/${first}`, change)).toEqual({})
  expect((await alice.get(`/room_keys/version/${first}`)).auth_data).toEqual({ public_key: 'ghi' })
  const update = (version: string, body: object) => alice.attempt('put', `/room_keys/version/${version}`, { body })
  expect((await update(first, { ...change, version: second })).body.errcode).toBe('M_INVALID_PARAM')
  expect((await update(first, { ...change, algorithm: 'other' })).body.errcode).toBe('M_INVALID_PARAM')
  expect((await update('77', { ...change, version: '77' })).status).toBe(404)
  expect((await alice.attempt('post', '/room_keys/version', { body: { algorithm } })).status).toBe(400)

  expect(await alice.delete(`/room_keys/version/${second}`)).toEqual({})
  expect(await alice.delete(`/room_keys/version/${second}`)).toEqual({})
  expect((await alice.get('/room_keys/version')).version).toBe(first)
  expect((await alice.attempt('get', `/room_keys/version/${second}`)).status).toBe(404)
  for (const unknown of ['99', '0', '-1', 'x', '1e1', '99999999999999999999']) {
    expect((await alice.attempt('get', `/room_keys/version/${unknown}`)).status).toBe(404)
    expect((await alice.attempt('delete', `/room_keys/version/${unknown}`)).status).toBe(404)
  }
  expect(Number(await createBackup(alice))).toBeGreaterThan(Number(second))
  const bob = await server.register('bob')
  expect((await bob.attempt('get', `/room_keys/version/${first}`)).status).toBe(404)
})

test('keys are stored whole, per room and one by one, and read and deleted likewise', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const version = await createBackup(alice)
  const rooms = { [room]: { sessions: { s1: key(), s2: key() } }, [otherRoom]: { sessions: { s1: key() } } }
  expect((await put(alice, version, [], { rooms })).body).toEqual({ count: 3, etag: '1' })
  expect((await put(alice, version, [room], { sessions: { s3: key() } })).body).toEqual({ count: 4, etag: '2' })
  expect((await put(alice, version, [room, 's/4'], key())).body).toEqual({ count: 5, etag: '3' })
  expect((await put(alice, version, [room, 's/4'], key())).body).toEqual({ count: 5, etag: '3' })

  const ofRoom = { sessions: { s1: key(), s2: key(), s3: key(), 's/4': key() } }
  const all = { rooms: { [room]: ofRoom, [otherRoom]: { sessions: { s1: key() } } } }
  expect(await alice.get(keysPath(), { version })).toEqual(all)
  expect(await alice.get(keysPath(room), { version })).toEqual(ofRoom)
  expect(await alice.get(keysPath('!none:a.test'), { version })).toEqual({ sessions: {} })
  expect(await alice.get(keysPath(room, 's/4'), { version })).toEqual(key())
  expect((await alice.attempt('get', keysPath(room, 'none'), { query: { version } })).status).toBe(404)
  expect(await alice.get('/room_keys/version')).toMatchObject({ count: 5, etag: '3' })

  const remove = (...parts: string[]) => alice.request('delete', keysPath(...parts), { query: { version } })
  expect(await remove(room, 's1')).toEqual({ count: 4, etag: '4' })
  expect(await remove(room, 's1')).toEqual({ count: 4, etag: '4' })
  expect(await remove(room)).toEqual({ count: 1, etag: '5' })
  expect(await remove()).toEqual({ count: 0, etag: '6' })
  expect(await alice.get(keysPath(), { version })).toEqual({ rooms: {} })
})

test('a key is replaced by a better one only', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const version = await createBackup(alice)
  const offer = async (more: object) => {
    const text = JSON.stringify(more)
    await put(alice, version, [room, 's'], key(more, text))
    return (await alice.get(keysPath(room, 's'), { version })).session_data.ciphertext === text
  }
  expect(await offer({})).toBe(true)
  expect(await offer({ first_message_index: 6, forwarded_count: 0 })).toBe(false)
  expect(await offer({ first_message_index: 5, forwarded_count: 3 })).toBe(false)
  expect(await offer({ first_message_index: 5, forwarded_count: 1 })).toBe(true)
  expect(await offer({ first_message_index: 4, forwarded_count: 9 })).toBe(true)
  expect(await offer({ first_message_index: 9, is_verified: true })).toBe(true)
  expect(await offer({ first_message_index: 0, forwarded_count: 0 })).toBe(false)
  expect(await offer({ first_message_index: 8, is_verified: true })).toBe(true)
  expect((await alice.get('/room_keys/version')).etag).toBe('5')
})

test('only the newest backup is written to', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  expect((await put(alice, '1', [room, 's'], key())).status).toBe(404)
  const first = await createBackup(alice)
  await put(alice, first, [room, 's'], key())
  const second = await createBackup(alice)
  for (const [parts, body] of [
    [[], { rooms: { [room]: { sessions: { s: key() } } } }],
    [[room], { sessions: { s: key() } }],
    [[room, 's'], key()],
  ] as const) {
    expect(await put(alice, first, [...parts], body)).toMatchObject({
      status: 403,
      body: { errcode: 'M_WRONG_ROOM_KEYS_VERSION', current_version: second },
    })
    expect((await put(alice, '99', [...parts], body)).status).toBe(404)
    expect((await alice.attempt('get', keysPath(...parts), { query: { version: '99' } })).status).toBe(404)
    expect((await alice.attempt('delete', keysPath(...parts), { query: { version: '99' } })).status).toBe(404)
    expect((await alice.attempt('put', keysPath(...parts), { body })).status).toBe(400)
  }
  expect(await alice.get(keysPath(room, 's'), { version: first })).toEqual(key())
})

test('malformed keys are refused, and none of the request is stored', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const version = await createBackup(alice)
  const bad: unknown[] = [
    null,
    'text',
    [],
    {},
    key({ first_message_index: '1' }),
    key({ first_message_index: -1 }),
    key({ forwarded_count: null }),
    key({ is_verified: 1 }),
    key({ session_data: 'text' }),
    key({ session_data: null }),
  ]
  for (const one of bad) {
    expect([(await put(alice, version, [room], { sessions: { good: key(), one } })).status, one]).toEqual([400, one])
  }
  expect((await put(alice, version, [], { rooms: { notaroom: { sessions: {} } } })).status).toBe(400)
  expect((await put(alice, version, [], { rooms: { [room]: {} } })).status).toBe(400)
  expect((await put(alice, version, ['notaroom'], { sessions: {} })).status).toBe(400)
  expect((await put(alice, version, [room, 's'], key({ session_data: { a: 'x'.repeat(70_000) } }))).status).toBe(413)
  expect((await alice.get('/room_keys/version')).count).toBe(0)
  const names =
    '{"sessions":{"__proto__":{"first_message_index":0,"forwarded_count":0,"is_verified":true,"session_data":{"__proto__":1}}}}'
  expect((await put(alice, version, [room], names)).status).toBe(200)
  const read = await alice.attempt('get', keysPath(room), { query: { version } })
  expect(Object.keys(read.body.sessions)).toEqual(['__proto__'])
})

test('five thousand keys are stored with as many statements as one', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const version = await createBackup(alice)
  const { cost } = server.ctx.database
  const costOf = async (prefix: string, count: number) => {
    const sessions = Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, key()]))
    const before = cost.statements
    expect((await put(alice, version, [room], { sessions })).status).toBe(200)
    return cost.statements - before
  }
  const one = await costOf('a', 1)
  expect(await costOf('b', 5000)).toBe(one)
  expect((await alice.get('/room_keys/version')).count).toBe(5001)
})
