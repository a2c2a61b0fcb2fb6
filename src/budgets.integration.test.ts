import { expect, test } from 'vitest'
import type { RoomId, UserId } from './matrix/ids.ts'
import { joinRoom } from './rooms/join-room.ts'
import { copyRoom } from './testing/copied-rooms.ts'
import {
  createTestDatabase,
  startTestServer,
  type TestClient,
  type TestDatabase,
  type TestServer,
} from './testing/index.ts'

type Cost = { statements: number; rows: number }

/** What something costs the database. */
async function costOf(server: TestServer, work: () => Promise<unknown>): Promise<Cost> {
  const { cost } = server.ctx.database
  await settled(server)
  const before = { ...cost }
  await work()
  // What follows from it, such as looking up the push rules of who joined, is part of what it costs.
  await settled(server)
  return { statements: cost.statements - before.statements, rows: cost.rows - before.rows }
}

/** Resolves when nothing is being written or read any more. */
async function settled({ ctx }: TestServer): Promise<void> {
  await ctx.writer.drain()
  do await new Promise((resolve) => setImmediate(resolve))
  while (ctx.database.cost.underWay > 0)
}

function say(client: TestClient, room: RoomId, body: string) {
  return client.send(room, 'm.room.message', { msgtype: 'm.text', body })
}

test('a warm message is one transaction and reads no row; a warm token costs nothing', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await say(alice, room, 'warm')
  const sent = await costOf(server, () => say(alice, room, 'counted'))
  // Position, event, room, read position and transaction: one round to the database.
  expect(sent).toEqual({ statements: 5, rows: 0 })
  expect(await costOf(server, () => alice.get('/account/whoami'))).toEqual({ statements: 0, rows: 0 })
})

test('a warm sync that returns a new message makes no statement', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  const { next_batch: warm } = await bob.sync({ since })
  await say(alice, room, 'new')
  let told: unknown
  const cost = await costOf(server, async () => {
    told = (await bob.sync({ since: warm })).rooms.join[room].timeline.events.length
  })
  expect(told).toBe(1)
  expect(cost).toEqual({ statements: 0, rows: 0 })
})

test('a first sync of one room and of a hundred: six statements, and one for the keys of a new device', async () => {
  await using server = await startTestServer()
  const count = async (rooms: number): Promise<number> => {
    const user = await server.register(`owner${rooms}`)
    for (let made = 0; made < rooms; made += 20) {
      await Promise.all(Array.from({ length: Math.min(20, rooms - made) }, () => user.createRoom()))
    }
    const userNid = server.ctx.dictionaries.cachedUser(user.userId)!
    const device = { userNid, deviceId: user.deviceId }
    // What is remembered of a device's keys is no part of the sync.
    const { statements: keys } = await costOf(server, () => server.ctx.deviceKeys.counts(device))
    expect(keys).toBe(1)
    const { statements, rows } = await costOf(server, async () => {
      expect(Object.keys((await user.sync()).rooms.join)).toHaveLength(rooms)
    })
    // The events themselves are in memory: its counts, the user's membership and who may see its history are read of a room.
    expect(rows).toBeLessThanOrEqual(4 * rooms)
    return statements
  }
  const [one, many] = [await count(1), await count(100)]
  expect(many).toBe(one)
  expect(one).toBeLessThanOrEqual(6)
}, 120_000)

test('joining, sending and syncing cost the same in a room of ten and in one of ten thousand', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const { ctx } = server
  const lazily = { filter: JSON.stringify({ room: { state: { lazy_load_members: true } } }) }
  const costs: { [what: string]: Cost }[] = []
  const firsts: Cost[] = []
  for (const members of [10, 10_000]) {
    const room = await alice.createRoom({ preset: 'public_chat' })
    const userIds = Array.from({ length: members - 1 }, (_, index): UserId => `@member-${members}-${index}:a.test`)
    await ctx.dictionaries.internUsers(userIds)
    for (let first = 0; first < userIds.length; first += 256) {
      const group = userIds.slice(first, first + 256)
      await Promise.all(group.map((userId) => joinRoom(ctx, room, userId, {})))
    }
    const visitor = await server.register(`visitor${members}`)
    const joining = await costOf(server, () => visitor.join(room))
    expect((await ctx.hotRooms.get(room))!.joinedMembers).toBe(members + 1)
    // By a process that remembers nothing of either room.
    await using other = await startTestServer({ sharing: server })
    const first = await costOf(other, async () => {
      const { state, timeline } = (await other.adopt(visitor).sync(lazily)).rooms.join[room]
      expect([...state.events, ...timeline.events].length).toBeLessThan(30)
    })
    const { next_batch: since } = await visitor.sync(lazily)
    await say(visitor, room, 'warm')
    const sending = await costOf(server, () => say(visitor, room, 'counted'))
    const increment = await costOf(server, async () => {
      expect((await visitor.sync({ ...lazily, since })).rooms.join[room].timeline.events).toHaveLength(2)
    })
    costs.push({ joining, sending, increment })
    firsts.push(first)
  }
  const [ten, tenThousand] = costs
  expect(tenThousand).toEqual(ten)
  // The six whom a nameless room is called by have to be looked up where the timeline does not name them already.
  expect(firsts[1]!.statements - firsts[0]!.statements).toBeLessThanOrEqual(1)
  expect(firsts[1]!.rows - firsts[0]!.rows).toBeLessThanOrEqual(6)
  expect(ten).toMatchObject({ sending: { statements: 5, rows: 0 }, increment: { statements: 0, rows: 0 } })
}, 120_000)

test('a first window of 20 of 50 rooms and of 5,000: the same statements and rows; an increment of one event: none', async () => {
  await using database = await createTestDatabase()
  const users = await usersWithRooms(database, [50, 5000])
  await using server = await startTestServer({ database })
  const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
  const body = {
    lists: {
      all: {
        ranges: [[0, 19]],
        timeline_limit: 1,
        required_state: [
          ['m.room.encryption', ''],
          ['m.room.member', '$LAZY'],
          ['m.room.member', '$ME'],
        ],
        filters: { not_room_types: ['m.space'] },
      },
    },
    extensions: {
      account_data: { enabled: true },
      receipts: { enabled: true },
      typing: { enabled: true },
      e2ee: { enabled: true },
      to_device: { enabled: true },
    },
  }
  const first: Cost[] = []
  for (const user of users.map((client) => server.adopt(client))) {
    // The session, the order of its rooms and what they are filtered by are read once and then followed.
    const conn = { ...body, conn_id: 'warm', extensions: {} }
    await user.request('post', path, { body: conn })
    let answer: { rooms: object; pos: string; extensions: { to_device: { next_batch: string } } } | undefined
    const cost = await costOf(server, async () => {
      answer = await user.request('post', path, { body })
    })
    first.push(cost)
    expect(Object.keys(answer!.rooms)).toHaveLength(20)
    const room = Object.keys(answer!.rooms)[0] as RoomId
    const { next_batch: since } = answer!.extensions.to_device
    const asking = { ...body, extensions: { ...body.extensions, to_device: { enabled: true, since } } }
    const ask = (pos: string) => user.request('post', path, { body: asking, query: { pos } })
    await say(user, room, 'into the window')
    const { pos } = await ask(answer!.pos)
    await say(user, room, 'counted')
    let told: unknown
    const increment = await costOf(server, async () => {
      told = (await ask(pos)).rooms[room].timeline.length
    })
    expect(told).toBe(1)
    expect(increment).toEqual({ statements: 0, rows: 0 })
  }
  expect(first[1]).toEqual(first[0])
  // What memory would have of rooms that were active lately is read here.
  expect(first[0]!.statements).toBeLessThanOrEqual(12)
})

/** A user for each number, with as many rooms. */
async function usersWithRooms(database: TestDatabase, counts: readonly number[]): Promise<TestClient[]> {
  const users: TestClient[] = []
  const rooms: RoomId[] = []
  {
    await using server = await startTestServer({ database })
    for (const count of counts) {
      const user = await server.register(`owner${count}`)
      users.push(user)
      rooms.push(await user.createRoom({ name: 'Room' }))
    }
  }
  for (const [index, count] of counts.entries()) await copyRoom(database.url, rooms[index]!, count - 1)
  return users
}
