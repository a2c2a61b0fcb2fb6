import { expect, test } from 'vitest'
import { retireRoom, tablesPurged } from '../storage/purge-room.ts'
import { ended, startAdministered } from '../testing/administration.ts'
import { createTestDatabase, startTestServer } from '../testing/index.ts'

const enc = encodeURIComponent
const rooms = (version: string, room: string) => `/_synapse/admin/${version}/rooms/${enc(room)}`

test('a room is shut down, its users are told why elsewhere, and nothing of it is left', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat', visibility: 'public', room_alias_name: 'gone' })
  await bob.join(room)
  await alice.invite(room, carol.userId)
  const { event_id: event } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'words' })
  await bob.send(room, 'm.room.message', {
    msgtype: 'm.text',
    body: `${alice.userId} hears`,
    'm.mentions': { user_ids: [alice.userId] },
    'm.relates_to': { rel_type: 'm.thread', event_id: event },
  })
  await bob.post(`/rooms/${enc(room)}/receipt/m.read/${enc(event)}`)
  await bob.put(`/user/${enc(bob.userId)}/rooms/${enc(room)}/account_data/org.test`, { a: 1 })
  await bob.post(`/rooms/${enc(room)}/report/${enc(event)}`, { reason: 'rude' })
  const { next_batch: since } = await bob.sync()
  const number = (await server.ctx.hotRooms.get(room))!.room

  const body = { new_room_user_id: root.userId, room_name: 'Closed', message: 'Against the rules' }
  const { delete_id: job } = await root.delete(rooms('v2', room), body)
  const done = await ended(root, `/_synapse/admin/v2/rooms/delete_status/${job}`)
  expect(done).toMatchObject({ status: 'complete', shutdown_room: { failed_to_kick_users: [] } })
  const { kicked_users: kicked, new_room_id: opened, local_aliases: aliases } = done.shutdown_room
  expect(kicked.sort()).toEqual([alice.userId, bob.userId, carol.userId])
  expect(aliases).toEqual(['#gone:a.test'])
  const byRoom = await root.get(`${rooms('v2', room)}/delete_status`)
  expect(byRoom.results).toEqual([{ delete_id: job, ...done }])

  const sync = await bob.sync({ since })
  expect(Object.keys(sync.rooms.join)).toEqual([opened])
  expect((await bob.get('/joined_rooms')).joined_rooms).toEqual([opened])
  expect((await carol.sync()).rooms?.invite).toBeUndefined()
  expect((await bob.get(`/directory/room/${enc('#gone:a.test')}`)).room_id).toBe(opened)
  const { chunk } = await bob.get(`/rooms/${enc(opened)}/messages`, { dir: 'b', limit: 50 })
  expect(chunk.map((one: { content: { body?: string } }) => one.content.body)).toContain('Against the rules')
  expect((await bob.attempt('get', `/rooms/${enc(room)}/event/${enc(event)}`)).status).toBe(404)
  for (const path of [
    rooms('v1', room),
    `${rooms('v1', room)}/state`,
    `/_synapse/admin/v1/fetch_event/${enc(event)}`,
  ]) {
    expect((await root.attempt('get', path)).status, path).toBe(404)
  }
  expect(await rowsWith(server.ctx.database.db, number)).toEqual(['reports', 'rooms'])
  const { event_reports: reports } = await root.get('/_synapse/admin/v1/event_reports')
  expect(reports).toMatchObject([{ room_id: room, reason: 'rude', sender: null, event_id: null }])
  // Only its own server knew it, so it cannot be joined any more.
  expect((await bob.attempt('post', `/join/${enc(room)}`)).status).toBe(404)
  expect((await root.attempt('delete', rooms('v2', room), { body: {} })).status).toBe(404)
})

test('no table is forgotten when a room is deleted', async () => {
  await using server = await startTestServer()
  const tables = await server.ctx.database.db.introspection.getTables()
  const withRooms = tables.filter(({ columns }) => columns.some((column) => column.name === 'room'))
  expect(withRooms.map(({ name }) => name).sort()).toEqual([...tablesPurged, 'reports', 'rooms'].sort())
})

/** The tables that know the number of a room. */
async function rowsWith(db: Awaited<ReturnType<typeof startTestServer>>['ctx']['database']['db'], room: number) {
  const tables = (await db.introspection.getTables()).filter(({ columns }) =>
    columns.some((column) => column.name === 'room'),
  )
  const found = await Promise.all(
    tables.map(async ({ name }) => {
      const rows = await db
        .selectFrom(name as 'rooms')
        .select('room')
        .where('room', '=', room)
        .execute()
      return rows.length > 0 ? [name] : []
    }),
  )
  return found.flat().sort()
}

test('a room is deleted at once, blocked, or only emptied', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const kept = await root.delete(rooms('v1', room), { purge: false, block: true })
  expect(kept).toEqual({
    kicked_users: expect.arrayContaining([alice.userId, bob.userId]),
    failed_to_kick_users: [],
    local_aliases: [],
    new_room_id: null,
  })
  expect(await root.get(`${rooms('v1', room)}/block`)).toMatchObject({ block: true })
  expect(await root.get(rooms('v1', room))).toMatchObject({ joined_members: 0, forgotten: true })
  await root.delete(rooms('v1', room), {})
  expect((await root.attempt('get', rooms('v1', room))).status).toBe(404)
  // What an administrator has blocked stays so.
  expect(await root.get(`${rooms('v1', room)}/block`)).toMatchObject({ block: true })
  const other = await alice.createRoom({ preset: 'public_chat' })
  await root.delete(rooms('v1', other), {})
  expect(await root.get(`${rooms('v1', other)}/block`)).toEqual({ block: false })

  const unknown = '!unknown:elsewhere.test'
  expect((await root.attempt('delete', rooms('v1', unknown), { body: {} })).status).toBe(404)
  expect((await root.attempt('delete', rooms('v2', unknown), { body: { block: true } })).status).toBe(200)
  const wrong = { new_room_user_id: '@nobody:a.test' }
  expect((await root.attempt('delete', rooms('v2', other), { body: wrong })).status).toBe(404)
  expect((await root.attempt('get', `${rooms('v2', '!never:a.test')}/delete_status`)).status).toBe(404)
  expect((await root.attempt('get', '/_synapse/admin/v2/rooms/delete_status/none')).status).toBe(404)
})

test('another process forgets a room that was deleted here', async () => {
  const { server, root } = await startAdministered({ redis: true })
  await using _ = server
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const there = other.adopt(alice)
  const room = await alice.createRoom()
  await there.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from there' })
  const { next_batch: since } = await there.sync()
  await root.delete(rooms('v1', room), {})
  const refused = await there.attempt('put', `/rooms/${enc(room)}/send/m.room.message/x`, {
    body: { msgtype: 'm.text', body: 'late' },
  })
  expect([403, 404]).toContain(refused.status)
  expect((await there.get('/joined_rooms')).joined_rooms).toEqual([])
  expect((await there.sync({ since, timeout: 0 })).rooms?.join).toBeUndefined()
})

test('what a process leaves half done, the next one finishes', async () => {
  await using database = await createTestDatabase()
  const { server, root } = await startAdministered({ database })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'words' })
  const number = (await server.ctx.hotRooms.get(room))!.room
  const { db } = server.ctx.database
  // As a process leaves it that dies while it deletes: the job is under way, the room retired, its rows there.
  await db
    .insertInto('admin_jobs')
    .values({
      job_id: 'left',
      kind: 'delete room',
      subject: room,
      parameters: JSON.stringify({
        roomId: room,
        requestedBy: root.userId,
        block: false,
        purge: true,
        forcePurge: false,
      }),
      requested_by: root.userId,
      created_at: 1,
      status: 'active',
      result: JSON.stringify({ kicked_users: [alice.userId], local_aliases: [], new_room_id: null }),
    })
    .execute()
  await alice.leave(room)
  await server.ctx.database.transaction((query) => retireRoom(query, number))
  expect(await rowsWith(db, number)).toContain('events')
  await server.close()

  await using next = await startTestServer({ database, config: { admin: { on_client_listener: true } } })
  const done = await ended(next.adopt(root), '/_synapse/admin/v2/rooms/delete_status/left')
  expect(done).toMatchObject({ status: 'complete', shutdown_room: { kicked_users: [alice.userId] } })
  expect(await rowsWith(next.ctx.database.db, number)).toEqual(['rooms'])
  expect(await next.ctx.hotRooms.getByNid(number)).toBeUndefined()
  const { scheduled_tasks: tasks } = await next.adopt(root).get('/_synapse/admin/v1/scheduled_tasks')
  expect(tasks).toMatchObject([{ id: 'left', action: 'delete room', status: 'complete', resource_id: room }])
})

test('a job that the database does not let through is tried again, and one that never gets further is given up', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await server.ctx.database.transaction(async (query) => {
    await query('create sequence tries', [])
    await query(
      `create function refuse_first() returns trigger language plpgsql as $$ begin
         if nextval('tries') = 1 then raise exception 'not now' using errcode = '57P01'; end if; return new; end $$`,
      [],
    )
    await query('create trigger refuse before insert on blocked_rooms for each row execute function refuse_first()', [])
  })
  const { delete_id: job } = await root.delete(rooms('v2', room), {})
  expect(await ended(root, `/_synapse/admin/v2/rooms/delete_status/${job}`)).toMatchObject({
    status: 'complete',
    shutdown_room: { kicked_users: [alice.userId] },
  })
  const { db } = server.ctx.database
  const parameters = JSON.stringify({ roomId: room, requestedBy: root.userId })
  const row = {
    job_id: 'poison',
    kind: 'delete room',
    subject: room,
    parameters,
    requested_by: root.userId,
    created_at: 1,
  }
  await db
    .insertInto('admin_jobs')
    .values({ ...row, attempts: 10 })
    .execute()
  server.ctx.invalidations.publish('admin-jobs', 'poison')
  expect(await ended(root, '/_synapse/admin/v2/rooms/delete_status/poison')).toMatchObject({
    status: 'failed',
    error: 'Given up after many attempts',
  })
})

test('what was said before a moment is forgotten by every process, and state stays', async () => {
  const { server, root } = await startAdministered({ redis: true })
  await using _ = server
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const there = other.adopt(alice)
  const room = await alice.createRoom()
  const sent: string[] = []
  for (const body of ['secret one', 'secret two', 'three', 'four']) {
    const relation = sent.length === 1 && { 'm.relates_to': { rel_type: 'm.thread', event_id: sent[0] } }
    sent.push((await alice.send(room, 'm.room.message', { msgtype: 'm.text', body, ...relation })).event_id)
  }
  for (const client of [alice, there]) expect(JSON.stringify(await client.sync())).toContain('secret')
  const purge = `/_synapse/admin/v1/purge_history/${enc(room)}`
  const statusPath = async (path: string, body: object) => {
    const { purge_id: id } = await root.post(path, body)
    return `/_synapse/admin/v1/purge_history_status/${id}`
  }
  expect(await ended(root, await statusPath(`${purge}/${enc(sent[2]!)}`, {}))).toEqual({ status: 'complete' })
  const seen = async () => {
    const { chunk } = await alice.get(`/rooms/${enc(room)}/messages`, { dir: 'b', limit: 50 })
    const messages = chunk.filter((one: { type: string }) => one.type === 'm.room.message')
    return messages.map((one: { content: { body?: string } }) => one.content.body)
  }
  // What our own users have said is kept unless they are meant, too.
  expect(await seen()).toEqual(['four', 'three', 'secret two', 'secret one'])
  const body = { purge_up_to_event_id: sent[2], delete_local_events: true }
  expect(await ended(root, await statusPath(purge, body))).toEqual({ status: 'complete' })
  expect(await seen()).toEqual(['four', 'three'])
  const remembers = async () => JSON.stringify(await there.sync()).includes('secret')
  await expect.poll(remembers).toBe(false)
  expect(JSON.stringify(await alice.sync())).not.toContain('secret')
  expect((await alice.attempt('get', `/rooms/${enc(room)}/event/${enc(sent[0]!)}`)).status).toBe(404)
  expect((await alice.get(`/_matrix/client/v1/rooms/${enc(room)}/threads`)).chunk).toEqual([])
  const contents = await server.ctx.database.db.selectFrom('events').select('content').execute()
  expect(JSON.stringify(contents)).not.toContain('secret')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'five' })
  expect(await alice.getState(room, 'm.room.create')).toBeDefined()

  const { origin_server_ts: ts } = await alice.get(`/rooms/${enc(room)}/event/${enc(sent[3]!)}`)
  await ended(root, await statusPath(purge, { purge_up_to_ts: ts, delete_local_events: true }))
  expect((await seen()).slice(0, 2)).toEqual(['five', 'four'])
  for (const [wrong, status] of [
    [{}, 400],
    [{ purge_up_to_event_id: '$nothing' }, 404],
    [{ purge_up_to_ts: 9_000_000_000_000 }, 404],
  ] as const) {
    expect((await root.attempt('post', purge, { body: wrong })).status).toBe(status)
  }
  expect((await root.attempt('get', '/_synapse/admin/v1/purge_history_status/none')).status).toBe(404)
})

test('what a user sent is redacted, in all rooms or some, and what cannot be is told', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const [one, two] = [
    await alice.createRoom({ invite: [bob.userId] }),
    await alice.createRoom({ invite: [bob.userId] }),
  ]
  const said: string[] = []
  for (const room of [one, two]) {
    await bob.join(room)
    for (const body of ['a', 'b']) {
      said.push((await bob.send(room, 'm.room.message', { msgtype: 'm.text', body })).event_id)
    }
    await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'mine' })
  }
  const redact = async (body: object) => {
    const { redact_id: id } = await root.post(`/_synapse/admin/v1/user/${enc(bob.userId)}/redact`, body)
    return ended(root, `/_synapse/admin/v1/user/redact_status/${id}`)
  }
  const left = async (room: string) => {
    const { chunk } = await alice.get(`/rooms/${enc(room)}/messages`, { dir: 'f', limit: 50 })
    const messages = chunk.filter((event: { type: string }) => event.type === 'm.room.message')
    return messages.flatMap((event: { content: { body?: string } }) => event.content.body ?? [])
  }
  expect(await redact({ rooms: [one], limit: 1 })).toEqual({ status: 'complete', failed_redactions: {} })
  expect([await left(one), await left(two)]).toEqual([
    ['a', 'mine'],
    ['a', 'b', 'mine'],
  ])
  const refused = await redact({ rooms: [two], use_admin: true })
  expect(Object.keys(refused.failed_redactions).sort()).toEqual(said.slice(2).sort())
  expect(await redact({ rooms: [], reason: 'spam' })).toMatchObject({ failed_redactions: {} })
  expect([await left(one), await left(two)]).toEqual([['mine'], ['mine']])
  const { unsigned } = await alice.get(`/rooms/${enc(two)}/event/${enc(said[2]!)}`)
  expect(unsigned.redacted_because).toMatchObject({ sender: bob.userId, content: { reason: 'spam' } })
  expect((await root.attempt('get', '/_synapse/admin/v1/user/redact_status/none')).status).toBe(404)
  const bad = await root.attempt('post', `/_synapse/admin/v1/user/${enc(bob.userId)}/redact`, { body: {} })
  expect(bad.status).toBe(400)
})

test('D08: a room is deleted while many write to it, and nobody waits for ever', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom({ preset: 'public_chat' })
  const other = await alice.createRoom()
  const send = (of: string, name: string) =>
    alice.attempt('put', `/rooms/${enc(of)}/send/m.room.message/${name}`, {
      body: { msgtype: 'm.text', body: name },
    })
  const writing = Array.from({ length: 100 }, (_unused, index) => send(room, `w${index}`))
  const deleting = root.delete(rooms('v1', room), {})
  const elsewhere = Array.from({ length: 20 }, (_unused, index) => send(other, `o${index}`))
  const statuses = (await Promise.all(writing)).map(({ status }) => status)
  expect(new Set(statuses).isSubsetOf(new Set([200, 403, 404]))).toBe(true)
  expect((await Promise.all(elsewhere)).map(({ status }) => status)).toEqual(elsewhere.map(() => 200))
  await deleting
  expect((await root.attempt('get', rooms('v1', room))).status).toBe(404)
  expect((await send(room, 'after')).status).toBe(404)
})
