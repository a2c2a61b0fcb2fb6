import { expect, test } from 'vitest'
import { startAdministered } from '../testing/administration.ts'

const enc = encodeURIComponent
const admin = '/_synapse/admin/v1'

test('reports are read, and put away', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Hall', room_alias_name: 'hall' })
  await bob.join(room)
  const { event_id: event } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'rude' })
  await bob.post(`/rooms/${enc(room)}/report/${enc(event)}`, { reason: 'it is' })
  await bob.post(`/users/${enc(alice.userId)}/report`, { reason: 'she is' })
  const { event_reports: events, total } = await root.get(`${admin}/event_reports`)
  expect(total).toBe(1)
  expect(events[0]).toMatchObject({
    room_id: room,
    name: 'Hall',
    canonical_alias: '#hall:a.test',
    event_id: event,
    sender: alice.userId,
    user_id: bob.userId,
    reason: 'it is',
  })
  const whole = await root.get(`${admin}/event_reports/${events[0].id}`)
  expect(whole.event_json).toMatchObject({ event_id: event, content: { body: 'rude' } })
  const found = async (query: Record<string, string>) => (await root.get(`${admin}/event_reports`, query)).total
  expect(await found({ user_id: '@bob', room_id: room, event_sender_user_id: alice.userId, dir: 'f' })).toBe(1)
  expect(await found({ user_id: '@carol' })).toBe(0)
  const { user_reports: users } = await root.get(`${admin}/user_reports`, { target_user_id: alice.userId })
  expect(users).toMatchObject([{ target_user_id: alice.userId, user_id: bob.userId, reason: 'she is' }])
  // Each under its own name only.
  expect((await root.attempt('get', `${admin}/event_reports/${users[0].id}`)).status).toBe(404)
  expect((await root.attempt('delete', `${admin}/user_reports/${events[0].id}`)).status).toBe(404)
  expect((await root.attempt('get', `${admin}/event_reports/x`)).status).toBe(400)
  expect(await root.delete(`${admin}/event_reports/${events[0].id}`)).toEqual({})
  expect(await root.get(`${admin}/user_reports/${users[0].id}`)).toMatchObject({ reason: 'she is' })
  expect(await root.delete(`${admin}/user_reports/${users[0].id}`)).toEqual({})
  expect([await found({}), (await root.get(`${admin}/user_reports`)).total]).toEqual([0, 0])
})

test('the server speaks to its users in a room of its own, once for each transaction', async () => {
  const { server, root } = await startAdministered({ config: { server_notices: { localpart: 'notices' } } })
  await using _ = server
  const alice = await server.register('alice')
  const body = { user_id: alice.userId, content: { msgtype: 'm.text', body: 'Maintenance' } }
  const { event_id: event } = await root.post(`${admin}/send_server_notice`, body)
  const invites = async () =>
    Object.entries((await alice.sync()).rooms?.invite ?? {}) as [
      string,
      { invite_state: { events: { sender: string }[] } },
    ][]
  const [[room, invite]] = (await invites()) as [Awaited<ReturnType<typeof invites>>[number]]
  expect(invite.invite_state.events[0]!.sender).toBe('@notices:a.test')
  const rejected = await alice.attempt('post', `/rooms/${enc(room)}/leave`, { body: {} })
  expect(rejected).toMatchObject({ status: 403, body: { errcode: 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM' } })
  await alice.join(room)
  const sync = await alice.sync()
  expect(sync.rooms.join[room].timeline.events.map((one: { event_id: string }) => one.event_id)).toContain(event)
  const tags = await alice.get(`/user/${enc(alice.userId)}/rooms/${enc(room)}/tags`)
  expect(tags.tags).toHaveProperty('m.server_notice')
  await alice.membership(room as `!${string}`, 'leave')
  await root.post(`${admin}/send_server_notice`, body)
  expect((await invites()).map(([id]) => id)).toEqual([room])
  const put = async (id: string) => (await root.put(`${admin}/send_server_notice/${id}`, body)).event_id
  expect(await put('1')).toBe(await put('1'))
  expect(await put('2')).not.toBe(await put('1'))
  for (const [wrong, status] of [
    [{ ...body, user_id: '@nobody:a.test' }, 404],
    [{ ...body, user_id: '@user:elsewhere.test' }, 400],
    [{ user_id: alice.userId }, 400],
  ] as const) {
    expect((await root.attempt('post', `${admin}/send_server_notice`, { body: wrong })).status).toBe(status)
  }
})

test('without server notices none are sent', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const body = { user_id: root.userId, content: { body: 'x' } }
  expect((await root.attempt('post', `${admin}/send_server_notice`, { body })).status).toBe(400)
})

test('what the server is at: statistics, tasks, updates', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const room = await root.createRoom({ name: 'Hall' })
  const { rooms } = await root.get(`${admin}/statistics/database/rooms`)
  expect(rooms).toEqual([{ room_id: room, estimated_size: expect.any(Number) }])
  expect(rooms[0].estimated_size).toBeGreaterThan(100)
  expect(await root.get(`${admin}/scheduled_tasks`)).toEqual({ scheduled_tasks: [] })
  expect(await root.get(`${admin}/background_updates/status`)).toEqual({ enabled: true, current_updates: {} })
  expect(await root.post(`${admin}/background_updates/enabled`, { enabled: false })).toEqual({ enabled: true })
  const start = { job_name: 'x' }
  expect((await root.attempt('post', `${admin}/background_updates/start_job`, { body: start })).status).toBe(400)
})

test('what administrators do by the client API is in the audit trail, and what is everybody’s is not', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const lock = `/_matrix/client/v1/admin/lock/${enc(alice.userId)}`
  await root.put(lock, { locked: true })
  await root.put(lock, { locked: false })
  await root.get(`/admin/whois/${enc(alice.userId)}`)
  expect((await root.attempt('get', '/admin/whois/@nobody:a.test')).status).toBe(404)
  await root.get(`/admin/whois/${enc(root.userId)}`)
  await alice.get(`/admin/whois/${enc(alice.userId)}`)
  expect((await bob.attempt('put', lock, { body: { locked: true } })).status).toBe(403)
  await alice.createRoom({ room_alias_name: 'hall' })
  await root.delete(`/directory/room/${enc('#hall:a.test')}`)
  const { entries } = await root.get('/_chappe/admin/v1/audit', { dir: 'f' })
  const seen = entries.map((one: Record<string, unknown>) => [one.actor, one.operation, one.target, one.status])
  const operation = 'PUT /_matrix/client/v1/admin/lock/{userId}'
  const whois = 'GET /_matrix/client/v3/admin/whois/{userId}'
  expect(seen.slice(0, -1)).toEqual([
    [root.userId, operation, alice.userId, 200],
    [root.userId, operation, alice.userId, 200],
    [root.userId, whois, alice.userId, 200],
    [root.userId, whois, '@nobody:a.test', 404],
    [bob.userId, operation, null, 403],
    [root.userId, 'DELETE /_matrix/client/v3/directory/room/{roomAlias}', '#hall:a.test', 200],
  ])
  expect(entries[0].details).toEqual({ locked: true })
})

test('what is looked for by a third-party id is in the audit trail by that id', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  await root.attempt('get', `${admin}/threepid/email/users/a@b.example`)
  await root.attempt('get', `${admin}/auth_providers/oidc/users/a1`)
  const { entries } = await root.get('/_chappe/admin/v1/audit', { dir: 'f', limit: 2 })
  expect(entries.map((one: { target: string }) => one.target)).toEqual(['a@b.example', 'a1'])
})
