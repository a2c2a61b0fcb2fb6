import { expect, test } from 'vitest'
import { startTestServer } from '../testing/index.ts'

test('a room forgotten at one process is forgotten at the others, also by a session that is being read', async () => {
  await using one = await startTestServer({ redis: true })
  await using two = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const room = await alice.createRoom()
  await alice.leave(room)
  const elsewhere = two.adopt(alice)
  const filter = JSON.stringify({ room: { include_leave: true } })
  await expect.poll(async () => Object.keys((await elsewhere.sync({ filter })).rooms?.leave ?? {})).toEqual([room])
  const { user_nid: userNid } = (await one.ctx.database.db
    .selectFrom('users')
    .select('user_nid')
    .where('user_id', '=', alice.userId)
    .executeTakeFirst())!
  const user = { userId: alice.userId, userNid }
  const before = await two.ctx.sessions.of(user)
  const heard = new Promise((resolve) => two.ctx.invalidations.subscribe('user-rooms', resolve))
  await alice.post(`/rooms/${encodeURIComponent(room)}/forget`)
  expect(await heard).toBe(`${userNid}`)
  expect((await elsewhere.sync({ filter })).rooms?.leave ?? {}).toEqual({})
  expect((await alice.sync({ filter })).rooms?.leave ?? {}).toEqual({})
  const after = await two.ctx.sessions.of(user)
  expect(after).not.toBe(before)
  expect(await two.ctx.sessions.of(user)).toBe(after)

  after.isStale = true
  const underWay = two.ctx.sessions.of(user)
  two.ctx.invalidations.publish('user-rooms', `${userNid}`)
  expect(await two.ctx.sessions.of(user)).toBe(await underWay)
  expect(await two.ctx.sessions.of(user)).not.toBe(await underWay)
})

test('what was forgotten is not to be read any more, until its former member is back', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const path = `/rooms/${encodeURIComponent(room)}`
  await bob.post(`/join/${encodeURIComponent(room)}`)
  await bob.post(`${path}/leave`)
  expect((await bob.attempt('get', `${path}/messages?dir=b`)).status).toBe(200)
  await bob.post(`${path}/forget`)
  for (const end of ['messages?dir=b', 'state', 'members']) {
    expect(await bob.attempt('get', `${path}/${end}`)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  }
  await bob.post(`/join/${encodeURIComponent(room)}`)
  expect((await bob.attempt('get', `${path}/messages?dir=b`)).status).toBe(200)
})
