import { expect, test } from 'vitest'
import { administrator, ended } from '../src/testing/administration.ts'
import { download, upload } from '../src/testing/media-requests.ts'
import { pair, sees, seesMembership } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const config = { admin: { on_client_listener: true } }

test('other servers hear that our users have left a room before it is forgotten, and they can come back', async () => {
  await using servers = await pair({}, { config })
  const { one, alice, bob } = servers
  const root = await administrator(one)
  const room = await bob.createRoom({ preset: 'public_chat' })
  await alice.post(`/join/${enc(room)}?via=${enc(servers.other.ctx.domains.default)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before' })
  await sees(bob, room, 'before')
  const { delete_id: job } = await root.delete(`/_synapse/admin/v2/rooms/${enc(room)}`, {})
  const done = await ended(root, `/_synapse/admin/v2/rooms/delete_status/${job}`)
  expect(done).toMatchObject({ status: 'complete', shutdown_room: { kicked_users: [alice.userId] } })
  await seesMembership(bob, room, alice.userId, 'leave')
  expect((await root.attempt('get', `/_synapse/admin/v1/rooms/${enc(room)}`)).status).toBe(404)

  await alice.post(`/join/${enc(room)}?via=${enc(servers.other.ctx.domains.default)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'back' })
  await sees(bob, room, 'back')
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'welcome' })
  await sees(alice, room, 'welcome')
  expect(await root.get(`/_synapse/admin/v1/rooms/${enc(room)}`)).toMatchObject({ joined_members: 2, forgotten: false })
})

test('history that was forgotten here is not told to other servers, and what is built on it still holds', async () => {
  await using servers = await pair({}, { config })
  const { one, other, alice, bob } = servers
  const root = await administrator(one)
  const room = await alice.createRoom({ preset: 'public_chat' })
  const { event_id: first } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  const { event_id: last } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'kept' })
  const purge = { purge_up_to_event_id: last, delete_local_events: true }
  const { purge_id: job } = await root.post(`/_synapse/admin/v1/purge_history/${enc(room)}`, purge)
  await ended(root, `/_synapse/admin/v1/purge_history_status/${job}`)
  await bob.post(`/join/${enc(room)}?via=${enc(one.ctx.domains.default)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'after' })
  await sees(bob, room, 'after')
  const { chunk } = await bob.get(`/rooms/${enc(room)}/messages`, { dir: 'b', limit: 100 })
  expect(JSON.stringify(chunk)).not.toContain('secret')
  expect((await bob.attempt('get', `/rooms/${enc(room)}/event/${enc(first)}`)).status).toBe(404)
  expect(other.ctx.domains.default).not.toBe(one.ctx.domains.default)
})

test('servers that we send to are listed, and tried again at once', async () => {
  await using servers = await pair({}, { config })
  const { one, other, alice, bob } = servers
  const root = await administrator(one)
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${enc(room)}?via=${enc(one.ctx.domains.default)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })
  await sees(bob, room, 'hello')
  const all = '/_synapse/admin/v1/federation/destinations'
  const name = other.ctx.domains.default
  const { destinations, total } = await root.get(all)
  expect(total).toBe(1)
  expect(destinations[0]).toMatchObject({ destination: name, failure_ts: null, retry_last_ts: 0 })
  for (const order of ['retry_last_ts', 'retry_interval', 'failure_ts', 'last_successful_stream_ordering']) {
    expect((await root.get(all, { order_by: order, dir: 'b', destination: '127.0' })).total, order).toBe(1)
  }
  expect((await root.get(all, { destination: 'nothing' })).total).toBe(0)
  expect((await root.attempt('get', all, { query: { order_by: 'x' } })).status).toBe(400)
  expect(await root.get(`${all}/${enc(name)}/rooms`)).toMatchObject({ total: 1, rooms: [{ room_id: room }] })
  expect(await root.post(`${all}/${enc(name)}/reset_connection`)).toEqual({})
  for (const path of ['nothing.test', 'nothing.test/rooms']) {
    const { status, body } = await root.attempt('get', `${all}/${path}`)
    expect(path.endsWith('rooms') ? body.total : status).toBe(path.endsWith('rooms') ? 0 : 404)
  }
  expect((await root.attempt('post', `${all}/nothing.test/reset_connection`, { body: {} })).status).toBe(404)

  const media = await upload(bob, 'from there')
  expect((await download(alice, media)).status).toBe(200)
  const { deleted } = await root.post(`/_synapse/admin/v1/purge_media_cache?before_ts=${Date.now() + 60_000}`)
  expect(deleted).toBe(1)
})
