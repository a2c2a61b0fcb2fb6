import { expect, test } from 'vitest'
import type { EventId, RoomId } from '../../matrix/ids.ts'
import { startTestServer, type TestClient } from '../../testing/index.ts'

const config = { experimental: { msc4306: true } }
const slidingSync = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
const changes = '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions'
const extension = 'io.element.msc4308.thread_subscriptions'

function subscription(room: RoomId, root: string): string {
  const place = `rooms/${encodeURIComponent(room)}/thread/${encodeURIComponent(root)}/subscription`
  return `/_matrix/client/unstable/io.element.msc4306/${place}`
}

async function say(client: TestClient, room: RoomId, root?: string): Promise<EventId> {
  const thread = root === undefined ? {} : { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  return (await client.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hi', ...thread })).event_id
}

async function errorOf(client: TestClient, method: string, path: string, body?: object): Promise<[number, string]> {
  const answer = await client.attempt(method, path, body && { body })
  return [answer.status, answer.body.errcode]
}

test('a thread is followed and left, by the user or because of an event in it', async () => {
  await using server = await startTestServer({ config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom()
  const [root, other] = [await say(alice, room), await say(alice, room)]
  const [first, elsewhere] = [await say(alice, room, root), await say(alice, room, other)]
  const path = subscription(room, root)
  expect(await errorOf(alice, 'get', path)).toEqual([404, 'M_NOT_FOUND'])
  await alice.delete(path)
  for (const automatic of [root, elsewhere]) {
    expect(await errorOf(alice, 'put', path, { automatic })).toEqual([400, 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD'])
  }
  await alice.put(path, { automatic: first })
  expect(await alice.get(path)).toEqual({ automatic: true })
  await alice.put(path, {})
  expect(await alice.get(path)).toEqual({ automatic: false })
  await alice.put(path, { automatic: first })
  expect(await alice.get(path)).toEqual({ automatic: false })
  const second = await say(alice, room, root)
  await alice.delete(path)
  const third = await say(alice, room, root)
  for (const automatic of [first, second]) {
    expect(await errorOf(alice, 'put', path, { automatic })).toEqual([
      409,
      'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
    ])
  }
  await alice.put(path, { automatic: third })
  expect(await alice.get(path)).toEqual({ automatic: true })
  expect(await errorOf(alice, 'put', path, { automatic: 5 })).toEqual([400, 'M_BAD_JSON'])
  expect(await errorOf(alice, 'put', path, { automatic: 'x' })).toEqual([400, 'M_INVALID_PARAM'])
  // What is not there, what is elsewhere and what nobody may see are one answer.
  const far = await say(bob, await bob.createRoom())
  for (const [client, id] of [
    [alice, '$none'],
    [alice, far],
    [bob, root],
  ] as const) {
    for (const method of ['get', 'put', 'delete']) {
      const body = method === 'put' ? {} : undefined
      expect(await errorOf(client, method, subscription(room, id), body)).toEqual([404, 'M_NOT_FOUND'])
    }
  }
})

test('only who follows a thread is notified of it, by count and in the list of notifications', async () => {
  await using server = await startTestServer({ config })
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await carol.join(room)
  const root = await say(alice, room)
  await bob.put(subscription(room, root), {})
  // A rule of one's own makes no difference: subscriptions come before those of rooms.
  await bob.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: [] })
  await say(alice, room, root)
  const unread = async (client: TestClient): Promise<number> =>
    (await client.sync()).rooms.join[room].unread_notifications.notification_count
  expect([await unread(bob), await unread(carol)]).toEqual([2, 1])
  expect((await bob.get('/notifications')).notifications).toHaveLength(1)
  expect((await carol.get('/notifications')).notifications).toHaveLength(1)
  await bob.delete(subscription(room, root))
  await carol.put(subscription(room, root), {})
  await say(alice, room, root)
  expect([await unread(bob), await unread(carol)]).toEqual([2, 2])
  await carol.leave(room)
  await say(alice, room, root)
  await carol.join(room)
  expect(await unread(carol)).toBe(0)
})

test('sliding sync tells of changes, and what does not fit in is asked for', async () => {
  await using server = await startTestServer({ config })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const roots = [await say(alice, room), await say(alice, room), await say(alice, room)]
  const sync = async (pos: string | undefined, limit: number, timeout = 0) => {
    const body = { extensions: { [extension]: { enabled: true, limit } } }
    const answer = await alice.post(`${slidingSync}?timeout=${timeout}${pos === undefined ? '' : `&pos=${pos}`}`, body)
    return { pos: answer.pos as string, told: answer.extensions[extension] }
  }
  const empty = await sync(undefined, 2)
  expect(empty.told).toEqual({})
  const waiting = sync(empty.pos, 2, 20_000)
  await alice.put(subscription(room, roots[0]!), {})
  const bump = expect.any(Number)
  expect((await waiting).told).toEqual({
    subscribed: { [room]: { [roots[0]!]: { automatic: false, bump_stamp: bump } } },
  })
  expect((await sync((await waiting).pos, 2)).told).toEqual({})
  await alice.put(subscription(room, roots[1]!), {})
  await alice.put(subscription(room, roots[2]!), {})
  await alice.delete(subscription(room, roots[1]!))
  const all = await sync(undefined, 2)
  expect(all.told).toMatchObject({
    subscribed: { [room]: { [roots[2]!]: { automatic: false, bump_stamp: bump } } },
    unsubscribed: { [room]: { [roots[1]!]: { bump_stamp: bump } } },
  })
  const rest = { subscribed: { [room]: { [roots[0]!]: { automatic: false, bump_stamp: bump } } } }
  expect(await alice.get(changes, { dir: 'b', from: all.told.prev_batch })).toEqual(rest)
  expect(await alice.get(changes, { dir: 'b', from: all.told.prev_batch, to: (await waiting).pos })).toEqual({})
  const page = await alice.get(changes, { dir: 'b', limit: 2 })
  expect(await alice.get(changes, { dir: 'b', from: page.end, limit: 2 })).toEqual(rest)
  for (const query of [{ dir: 'f' }, { dir: 'b', limit: 0 }, { dir: 'b', from: 'x' }]) {
    expect((await alice.attempt('get', changes, { query })).status).toBe(400)
  }
  expect(
    (await alice.attempt('post', slidingSync, { body: { extensions: { [extension]: { enabled: true, limit: 'x' } } } }))
      .status,
  ).toBe(400)
})

test('another process hears of subscriptions', async () => {
  await using one = await startTestServer({ config, redis: true })
  await using other = await startTestServer({ sharing: one })
  const [alice, bob] = [await one.register('alice'), await one.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const root = await say(alice, room)
  await say(alice, room, root)
  await other.adopt(bob).put(subscription(room, root), {})
  await one.ctx.stream.catchUp()
  await say(alice, room, root)
  expect((await bob.sync()).rooms.join[room].unread_notifications.notification_count).toBe(2)
})

test('switched off there is none of it', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const root = await say(alice, room)
  expect(await errorOf(alice, 'get', subscription(room, root))).toEqual([404, 'M_UNRECOGNIZED'])
  expect((await alice.get('/pushrules/')).global).not.toHaveProperty('postcontent')
  expect((await alice.get('/_matrix/client/versions')).unstable_features).not.toHaveProperty('org.matrix.msc4306')
  expect(
    await errorOf(alice, 'get', '/pushrules/global/postcontent/.io.element.msc4306.rule.subscribed_thread'),
  ).toEqual([404, 'M_NOT_FOUND'])
})
