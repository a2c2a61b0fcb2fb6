import { expect, test } from 'vitest'
import type { RoomId } from '../../src/matrix/ids.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { administrator } from '../../src/testing/administration.ts'
import type { Answer, TestClient } from '../../src/testing/test-client.ts'
import type { TestServer } from '../../src/testing/test-server.ts'
import { signedRequest, startFederatedServer } from '../federated-server.fixtures.ts'
import { sees, via } from '../two-servers.fixtures.ts'

const enc = encodeURIComponent
const lazy = JSON.stringify({ room: { state: { lazy_load_members: true } } })

/** As if another process of the deployment had the job and did nothing. */
async function holdJob(server: TestServer): Promise<() => Promise<void>> {
  const database = await openDatabase(server.database)
  const held = await database.connect()
  await held.query("select pg_advisory_lock(hashtextextended('chappe owns rooms without members', 0))")
  return async () => {
    await held.end()
    await database.close()
  }
}

/** Bob's server, which does not fetch members before it is let to; alice's has a room with many. */
async function startPair(config: object = {}) {
  const one = await startFederatedServer()
  const first = await startFederatedServer({}, { kept: true, config })
  const port = Number(first.ctx.domains.default.split(':')[1])
  await first.close()
  const release = await holdJob(first)
  const other = await startFederatedServer({}, { like: first, port })
  const [alice, bob] = [await one.register('alice'), await other.register('bob')]
  const room = (await alice.createRoom({ preset: 'public_chat', name: 'Many' })) as RoomId
  const members: TestClient[] = []
  // More than are told at once.
  const count = 50
  for (let number = 0; number < count; number++) {
    const member = await one.register(`member${number}`)
    await member.post(`/join/${enc(room)}`)
    members.push(member)
  }
  return {
    one,
    other,
    alice,
    bob,
    room,
    members,
    release,
    async [Symbol.asyncDispose]() {
      await release().catch(() => {})
      for (const server of [other, one]) await server[Symbol.asyncDispose]()
    },
  }
}

async function seesLazily(client: TestClient, room: RoomId, body: string): Promise<void> {
  for (let since: string | undefined; ; ) {
    const sync: Answer = await client.sync({ filter: lazy, timeout: 1000, ...(since !== undefined && { since }) })
    const events: Answer[] = sync.rooms?.join?.[room]?.timeline.events ?? []
    if (events.some(({ content }) => content.body === body)) return
    since = sync.next_batch
  }
}

/** A sliding sync with a list for each wish about members. */
function slide(
  client: TestClient,
  wishes: { [list: string]: string },
  pos?: string,
  timeout = 30_000,
): Promise<Answer> {
  const lists = Object.entries(wishes).map(([name, stateKey]) => [
    name,
    { ranges: [[0, 9]], timeline_limit: 1, required_state: [['m.room.member', stateKey]] },
  ])
  return client.request('post', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
    body: { lists: Object.fromEntries(lists) },
    query: { timeout, ...(pos !== undefined && { pos }) },
  })
}

const isPartial = async (server: TestServer, room: RoomId): Promise<boolean> =>
  (await server.ctx.hotRooms.get(room))!.partialState

test('a user of another server reads and writes before the members are there, and has all of them afterwards', async () => {
  await using servers = await startPair()
  const { one, other, alice, bob, room, members, release } = servers
  const beforeJoin = (await bob.sync()).next_batch
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  expect(await isPartial(other, room)).toBe(true)

  // Who loads members lazily is in the room at once, with the names of those who speak.
  const early = (await bob.sync({ filter: lazy })).rooms.join[room]
  expect(early.state.events.map(({ type }: Answer) => type)).toContain('m.room.name')
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'already here' })
  await sees(alice, room, 'already here')
  const { next_batch: since } = await bob.sync({ filter: lazy })
  await members[3]!.send(room, 'm.room.message', { msgtype: 'm.text', body: 'welcome' })
  await seesLazily(bob, room, 'welcome')
  const later = (await bob.sync({ filter: lazy, since })).rooms.join[room]
  expect(later.state.events.map(({ state_key: key }: Answer) => key)).toContain(members[3]!.userId)

  // Who wants all members is told nothing of it yet, and what asks for them waits.
  expect((await bob.sync()).rooms?.join?.[room]).toBeUndefined()
  const first = await slide(bob, { lazy: '$LAZY', own: '$ME' })
  expect(first.rooms[room]).toMatchObject({ initial: true })
  expect((await slide(bob, { single: members[5]!.userId })).rooms).toEqual({})
  const awaiting = await slide(bob, { all: '*' })
  expect(awaiting.rooms).toEqual({})
  const slid = slide(bob, { all: '*' }, awaiting.pos)
  const waiting = Promise.all([
    bob.get(`/rooms/${enc(room)}/members`),
    bob.get(`/rooms/${enc(room)}/joined_members`),
    bob.get(`/rooms/${enc(room)}/state`),
    bob.get(`/rooms/${enc(room)}/state/m.room.member/${enc(members[5]!.userId)}`),
  ])
  // Other servers cannot come in through us now.
  const make = `/_matrix/federation/v1/make_join/${enc(room)}/${enc(`@x:${one.ctx.domains.default}`)}?ver=12`
  expect((await signedRequest(one, other, 'GET', make)).status).toBe(404)

  await release()
  const [all, joined, state, single] = await waiting
  expect(all.chunk).toHaveLength(52)
  expect(Object.keys(joined.joined)).toHaveLength(52)
  expect(state.filter(({ type }: Answer) => type === 'm.room.member')).toHaveLength(52)
  expect(single.membership).toBe('join')
  expect(await isPartial(other, room)).toBe(false)
  const eager = (await bob.sync({ since: beforeJoin })).rooms.join[room]
  const told = [...eager.state.events, ...eager.timeline.events].filter(({ type }: Answer) => type === 'm.room.member')
  expect(new Set(told.map(({ state_key: key }: Answer) => key)).size).toBe(52)
  expect(eager.summary['m.joined_member_count']).toBe(52)
  const whole = (await slid).rooms[room]
  expect(whole).toMatchObject({ initial: true, joined_count: 52 })
  expect(whole.required_state).toHaveLength(52)
  // To who loads them lazily nothing is new in the room, and who wants more than before gets that.
  expect((await slide(bob, { lazy: '$LAZY', own: '$ME' }, first.pos, 0)).rooms).toEqual({})
  const more = (await slide(bob, { lazy: '$LAZY', all: '*' }, first.pos)).rooms[room]
  expect(more.initial).not.toBe(true)
  // All but their own, which was told before.
  expect(more.required_state).toHaveLength(51)
  expect((await signedRequest(one, other, 'GET', make)).status).toBe(200)
  const at = await bob.get(`/rooms/${enc(room)}/members`, { at: since })
  expect(at.chunk).toHaveLength(52)
}, 60_000)

test('with whom a user shares a room is told with the room, and to who asks; who loads members lazily asks for them', async () => {
  await using servers = await startPair()
  const { one, alice, bob, room, members, release } = servers
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  const { next_batch: since } = await bob.sync()
  const waiting = bob.sync({ since, timeout: 30_000 })
  await release()
  const { next_batch: to, device_lists: lists, rooms } = await waiting
  expect(Object.keys(rooms.join)).toEqual([room])
  const all = [alice, bob, ...members].map(({ userId }) => userId).toSorted()
  expect(lists.changed.toSorted()).toEqual(all)
  expect((await bob.get('/keys/changes', { from: since, to })).changed.toSorted()).toEqual(all)
  expect((await bob.sync({ since: to })).device_lists).toBeUndefined()
  expect((await bob.sync({ since, filter: lazy })).device_lists).toBeUndefined()
}, 60_000)

test('what changed meanwhile stays as it is, and who left at once fetches nothing', async () => {
  await using servers = await startPair()
  const { one, other, alice, bob, room, members, release } = servers
  const second = (await alice.createRoom({ preset: 'public_chat' })) as RoomId
  for (const member of members) await member.post(`/join/${enc(second)}`)
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  await bob.post(`/join/${enc(second)}?via=${via(one)}`)
  await bob.post(`/rooms/${enc(second)}/leave`)
  await alice.post(`/rooms/${enc(room)}/kick`, { user_id: members[1]!.userId })
  await members[2]!.put(`/profile/${enc(members[2]!.userId)}/displayname`, { displayname: 'New name' })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'after it' })
  await seesLazily(bob, room, 'after it')
  await release()
  const { joined } = await bob.get(`/rooms/${enc(room)}/joined_members`)
  expect(Object.keys(joined)).toHaveLength(51)
  expect(joined[members[1]!.userId]).toBeUndefined()
  expect(joined[members[2]!.userId].display_name).toBe('New name')
  expect((await other.ctx.hotRooms.get(room))!.joinedMembers).toBe(51)
  await expect.poll(() => other.ctx.database.db.selectFrom('partial_rooms').select('room').execute()).toHaveLength(1)
  expect(await isPartial(other, second)).toBe(false)
}, 60_000)

test('who left before the members were there comes back without them, and so does somebody else', async () => {
  await using servers = await startPair()
  const { one, other, alice, bob, room, members, release } = servers
  const dan = await other.register('dan')
  const join = (user: TestClient) => user.post(`/join/${enc(room)}?via=${via(one)}`)
  await join(bob)
  await members[2]!.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from a member' })
  await seesLazily(bob, room, 'from a member')
  await bob.post(`/rooms/${enc(room)}/leave`)
  await members[2]!.post(`/rooms/${enc(room)}/leave`)
  await join(dan)
  expect(await isPartial(other, room)).toBe(true)
  await dan.post(`/rooms/${enc(room)}/leave`)
  await alice.post(`/rooms/${enc(room)}/kick`, { user_id: members[1]!.userId })
  await join(bob)
  expect(await isPartial(other, room)).toBe(true)
  await members[3]!.post(`/rooms/${enc(room)}/leave`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'after it' })
  await seesLazily(bob, room, 'after it')
  await release()
  const { joined } = await bob.get(`/rooms/${enc(room)}/joined_members`)
  const gone = [1, 2, 3].map((number) => members[number]!)
  const expected = [alice, bob, ...members.filter((member) => !gone.includes(member))]
  expect(Object.keys(joined).sort()).toEqual(expected.map(({ userId }) => userId).sort())
}, 60_000)

test('a room that was known as a whole is come back into without its members', async () => {
  await using servers = await startPair()
  const { one, other, alice, bob, room, members, release } = servers
  await release()
  const join = () => bob.post(`/join/${enc(room)}?via=${via(one)}`)
  const membersAt = async (query: object = {}): Promise<string[]> => {
    const { chunk } = await bob.get(`/rooms/${enc(room)}/members`, { membership: 'join', ...query })
    return chunk.map(({ state_key: key }: Answer) => key).sort()
  }
  await join()
  const before = await membersAt()
  expect(before).toHaveLength(52)
  const { next_batch: at } = await bob.sync()
  await bob.post(`/rooms/${enc(room)}/leave`)
  await alice.post(`/rooms/${enc(room)}/kick`, { user_id: members[1]!.userId })
  const late = await one.register('late')
  await late.post(`/join/${enc(room)}`)
  await join()
  const rows = () => other.ctx.database.db.selectFrom('partial_rooms').select('returned').execute()
  expect(await rows()).toEqual([{ returned: true }])
  const after = [...before.filter((userId) => userId !== members[1]!.userId), late.userId].sort()
  expect(await membersAt()).toEqual(after)
  expect(await membersAt({ at })).toEqual(before)
  // The state before the join is what others ask for who follow it.
  const { event_id: eventId } = (await bob.get(`/rooms/${enc(room)}/state`)).find(
    ({ type, state_key: key }: Answer) => type === 'm.room.member' && key === bob.userId,
  )
  const path = `/_matrix/federation/v1/state_ids/${enc(room)}?event_id=${enc(eventId)}`
  const [ours, theirs] = [await signedRequest(one, other, 'GET', path), await signedRequest(other, one, 'GET', path)]
  expect(ours.status).toBe(200)
  expect(ours.body.pdu_ids.sort()).toEqual(theirs.body.pdu_ids.sort())
}, 60_000)

test('a room that is deleted before the members are there is gone, and can be joined again', async () => {
  await using servers = await startPair({ admin: { on_client_listener: true } })
  const { one, other, alice, bob, room, members, release } = servers
  const root = await administrator(other)
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  const before = (await other.ctx.hotRooms.get(room))!
  expect(before.partialState).toBe(true)
  await root.delete(`/_synapse/admin/v1/rooms/${enc(room)}`, {})
  await release()
  const { db } = other.ctx.database
  expect(await db.selectFrom('partial_rooms').selectAll().execute()).toEqual([])
  for (const table of ['room_users', 'room_state', 'events'] as const) {
    expect(await db.selectFrom(table).select('room').where('room', '=', before.room).execute(), table).toEqual([])
  }
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'welcome back' })
  await sees(bob, room, 'welcome back')
  const all = async () => Object.keys((await bob.get(`/rooms/${enc(room)}/joined_members`)).joined).length
  await expect.poll(all, { timeout: 15_000 }).toBe(members.length + 2)
})
