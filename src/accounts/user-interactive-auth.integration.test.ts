import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { findAccount, markDeactivated } from '../storage/accounts.ts'
import { createFakeClock, passwordOf, startTestServer } from '../testing/index.ts'
import { finishDeactivations } from './leave-all-rooms.ts'

const login = 'm.login.password'

test('a device is removed by its user, who proves it with their password', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const other = await server.logIn('alice')
  const path = `/devices/${other.deviceId}`
  const first = await alice.attempt('delete', path)
  expect(first).toMatchObject({ status: 401, body: { flows: [{ stages: [login] }], params: {} } })
  const auth = { type: login, session: first.body.session, identifier: { type: 'm.id.user', user: 'alice' } }
  const wrong = await alice.attempt('delete', path, { body: { auth: { ...auth, password: 'wrong' } } })
  expect(wrong).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN', session: first.body.session } })
  await alice.delete(path, { auth: { ...auth, password: passwordOf('alice') } })
  expect((await other.attempt('get', '/account/whoami')).status).toBe(401)
  expect((await alice.get('/devices')).devices).toHaveLength(1)
})

test('A11: a session is good for the operation, body and user it was begun for, once', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const [one, two] = [await server.logIn('alice'), await server.logIn('alice')]
  const ask = { devices: [one.deviceId] }
  const { session } = (await alice.attempt('post', '/delete_devices', { body: ask })).body
  const auth = { type: login, session, user: 'alice', password: passwordOf('alice') }
  const elsewhere = [
    alice.attempt('post', '/delete_devices', { body: { devices: [two.deviceId], auth } }),
    alice.attempt('delete', `/devices/${one.deviceId}`, { body: { auth } }),
    alice.attempt('post', '/account/deactivate', { body: { auth } }),
    alice.attempt('post', '/account/password', { body: { new_password: 'a new password', auth } }),
    bob.attempt('post', '/delete_devices', {
      body: { ...ask, auth: { ...auth, user: 'bob', password: passwordOf('bob') } },
    }),
    bob.attempt('post', '/delete_devices', { body: { ...ask, auth } }),
  ]
  for (const answer of await Promise.all(elsewhere)) {
    expect(answer).toMatchObject({ status: 401, body: { flows: [{ stages: [login] }] } })
    expect(answer.body.session).not.toBe(session)
  }
  expect((await alice.get('/devices')).devices).toHaveLength(3)
  await alice.post('/delete_devices', { ...ask, auth })
  expect((await alice.get('/devices')).devices).toHaveLength(2)
  expect((await alice.attempt('post', '/delete_devices', { body: { ...ask, auth } })).status).toBe(401)
})

test("nobody's password but one's own counts", async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  await server.register('bob')
  const attempts = [
    { type: login, user: 'bob', password: passwordOf('bob') },
    { type: login, user: 'alice', password: passwordOf('bob') },
    { type: login, user: 'bob', password: passwordOf('alice') },
    { type: login, user: '@alice:b.test', password: passwordOf('alice') },
    { type: login, user: 'alice' },
    { type: login, password: passwordOf('alice') },
    { type: login, user: 'alice', password: null },
    { type: 'm.login.dummy' },
    { type: ['m.login.password'], user: 'alice', password: passwordOf('alice') },
  ]
  for (const auth of attempts) {
    const answer = await alice.attempt('post', '/account/deactivate', { body: { auth } })
    // The name of another user is no attempt at one's own.
    const isOther = 'user' in auth && auth.user !== 'alice'
    expect(answer.status, JSON.stringify(auth)).toBe(isOther ? 403 : 401)
  }
  await alice.get('/account/whoami')
})

test('A07: a new password ends the other devices, and is nowhere in the database', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const other = await server.logIn('alice')
  const body = { new_password: 'a password nobody has' }
  const { session } = (await alice.attempt('post', '/account/password', { body })).body
  const tables = ['interactive_sessions', 'accounts'] as const
  const { db } = server.ctx.database
  for (const table of tables) {
    expect(JSON.stringify(await db.selectFrom(table).selectAll().execute())).not.toContain(body.new_password)
  }
  const auth = { type: login, session, user: 'alice', password: passwordOf('alice') }
  await alice.post('/account/password', { ...body, auth })
  await alice.get('/account/whoami')
  expect((await other.attempt('get', '/account/whoami')).status).toBe(401)
  await expect(server.logIn('alice')).rejects.toThrow('M_FORBIDDEN')
  await server.logIn('alice', { password: body.new_password })
  for (const table of tables) {
    expect(JSON.stringify(await db.selectFrom(table).selectAll().execute())).not.toContain(body.new_password)
  }
})

test('a deactivated user is gone, and their name stays taken', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const auth = { type: login, user: 'alice', password: passwordOf('alice') }
  expect(await alice.post('/account/deactivate', { auth, erase: true })).toEqual({ id_server_unbind_result: 'success' })
  expect((await alice.attempt('get', '/account/whoami')).status).toBe(401)
  await expect(server.logIn('alice')).rejects.toThrow('M_USER_DEACTIVATED')
  await expect(server.register('alice')).rejects.toThrow('M_USER_IN_USE')
})

test('who is deactivated leaves every room, at the latest when a process starts again', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const rooms = [await bob.createRoom({ preset: 'public_chat' }), await bob.createRoom({ invite: [alice.userId] })]
  const membershipIn = (room: RoomId) => bob.getState(room, 'm.room.member', alice.userId)
  await alice.join(rooms[0]!)
  await alice.post('/account/deactivate', { auth: { type: login, user: 'alice', password: passwordOf('alice') } })
  for (const room of rooms) expect(await membershipIn(room)).toMatchObject({ membership: 'leave' })

  const carol = await server.register('carol')
  await carol.join(rooms[0]!)
  const { user_nid: userNid } = (await findAccount(server.ctx.database.db, carol.userId))!
  await server.ctx.database.db.transaction().execute((tx) => markDeactivated(tx, userNid, 1, false))
  await finishDeactivations(server.ctx)
  expect(await bob.getState(rooms[0]!, 'm.room.member', carol.userId)).toMatchObject({ membership: 'leave' })
})

test('a session that lasted too long is over', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock })
  const alice = await server.register('alice')
  const { session } = (await alice.attempt('post', '/account/deactivate', { body: {} })).body
  clock.advance(900_000)
  const auth = { type: login, session, user: 'alice', password: passwordOf('alice') }
  expect((await alice.attempt('post', '/account/deactivate', { body: { auth } })).status).toBe(401)
  await alice.get('/account/whoami')
})
