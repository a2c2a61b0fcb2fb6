import { sql } from 'kysely'
import { expect, test } from 'vitest'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { attackedRoom, type HostileRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { invited, pair, sees, via } from './two-servers.fixtures.ts'

const enc = encodeURIComponent

/** How much is sent: ten times as much was seen to work too, which takes longer than a test should. */
const messagesInAll = 10_000
const zigZagsInAll = 150

test('F32: an invite to a room whose name, topic and picture are as large as they can be', async () => {
  await using scene = await pair()
  const { alice, bob, one } = scene
  const room = await alice.createRoom({ preset: 'private_chat' })
  const long = 'x'.repeat(60_000)
  await alice.sendState(room, 'm.room.name', { name: long })
  await alice.sendState(room, 'm.room.topic', { topic: long })
  await alice.sendState(room, 'm.room.avatar', { url: `mxc://a.test/${long}` })
  await alice.post(`/rooms/${enc(room)}/invite`, { user_id: bob.userId })
  expect((await invited(bob, room)).length).toBeGreaterThan(0)
  await bob.join(room)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'into the large room' })
  await sees(bob, room, 'into the large room')

  // Where the other server does not take it, nothing else is held up.
  await using hostile = await startHostileServer()
  hostile.answer = ({ path }) =>
    path.includes('/invite/') ? { status: 413, body: { errcode: 'M_TOO_LARGE', error: 'x' } } : undefined
  const refused = await alice.attempt('post', `/rooms/${enc(room)}/invite`, {
    body: { user_id: `@mallory:${hostile.name}` },
  })
  expect([refused.status, refused.body.errcode]).toEqual([502, 'M_CONNECTION_FAILED'])
  const hall = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${enc(hall)}?via=${via(one)}`)
  await alice.send(hall, 'm.room.message', { msgtype: 'm.text', body: 'and on' })
  await sees(bob, hall, 'and on')
})

test('F37: messages to devices of users who do not exist, or no longer do', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const [alice, gone] = [await home.register('alice'), await home.register('gone')]
  await gone.post('/account/deactivate', {
    auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'gone' }, password: 'password of gone' },
  })
  const own = home.ctx.domains.default
  const tables = async () => {
    const { db } = home.ctx.database
    const users = await db.selectFrom('users').select('user_nid').execute()
    const messages = await db.selectFrom('to_device').select('position').execute()
    return [users.length, messages.length]
  }
  const before = await tables()
  const [transactions, users] = [messagesInAll / 100 / 50, 50]
  let name = 0
  for (let transaction = 0; transaction < transactions; transaction++) {
    const edus = Array.from({ length: 100 }, () => ({
      edu_type: 'm.direct_to_device',
      content: {
        sender: `@sender${name}:${hostile.name}`,
        type: 'm.room.encrypted',
        message_id: `m${name}`,
        messages: Object.fromEntries(
          Array.from({ length: users }, (_, index) => [
            index === 0 ? gone.userId : `@nobody${name++}:${own}`,
            { '*': { body: 'x' } },
          ]),
        ),
      },
    }))
    await hostile.send(home, [], edus)
  }
  expect(await tables()).toEqual(before)
  expect((await alice.sync()).to_device?.events ?? []).toEqual([])
})

/** State events whose auth chains go to and fro: each cites the level event that the other user set before. */
async function zigZag(home: Parameters<HostileRoom['push']>[0], room: HostileRoom, count: number): Promise<void> {
  const batch: RoomEvent[] = []
  for (let index = 0; index < count; index++) {
    const before = room.at('m.room.power_levels').pdu.content
    const event = room.build({
      type: 'm.room.power_levels',
      stateKey: '',
      sender: room.user(index % 2 === 0 ? 'mallory' : 'zelda'),
      content: { ...before, users: { ...(before.users as JsonObject), '@nobody:x.test': index % 50 } } as JsonObject,
    })
    room.take([event])
    room.ends = [event]
    batch.push(event)
  }
  for (let start = 0; start < count; start += 50) {
    const some = batch.slice(start, start + 50)
    const answer = await room.hostile.send(
      home,
      some.map(({ pdu }) => pdu),
    )
    for (const { eventId } of some) expect(answer[eventId]).toEqual({})
  }
}

test('F53: auth chains that go to and fro cost in proportion to their length', async () => {
  await using scene = await attackedRoom()
  const { alice, home, hostile, room, roomId } = scene
  const other = await joinHostile(hostile, home, roomId, 'zelda')
  const levels = await alice.getState(roomId, 'm.room.power_levels')
  const users = { ...levels.users, [room.user('mallory')]: 90, [room.user('zelda')]: 90 }
  const { event_id: eventId } = await alice.sendState(roomId, 'm.room.power_levels', {
    ...levels,
    users,
    events: { ...levels.events, 'm.room.power_levels': 50 },
  })
  await expect.poll(() => hostile.heard.some((pdu) => room.eventOf(pdu).eventId === eventId)).toBe(true)
  room.take([other.at('m.room.member', room.user('zelda'))])
  room.ends = hostile.heard.map((pdu) => room.eventOf(pdu)).filter((event) => event.eventId === eventId)
  room.take(room.ends)

  const { db } = home.ctx.database
  const { rows: tables } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = 'public'`.execute(db)
  const counts = sql.join(
    tables.map(({ name }) => sql`select count(*) as n from ${sql.table(name)}`),
    sql` union all `,
  )
  const rowsInAll = async (): Promise<number> => {
    const { rows } = await sql<{ n: string }>`select sum(n) as n from (${counts}) as counted`.execute(db)
    return Number(rows[0]!.n)
  }
  const grown: number[] = []
  const took: number[] = []
  for (let round = 0; round < 3; round++) {
    const [rows, begun] = [await rowsInAll(), performance.now()]
    await zigZag(home, room, zigZagsInAll / 3)
    took.push(performance.now() - begun)
    grown.push((await rowsInAll()) - rows)
  }
  expect(Math.max(...grown)).toBeLessThanOrEqual(Math.min(...grown) * 1.2)
  expect(took[2]).toBeLessThan(took[0]! * 10)
  expect((await alice.getState(roomId, 'm.room.power_levels')).users['@nobody:x.test']).toBe(
    (zigZagsInAll / 3 - 1) % 50,
  )
  await scene.stillWorks()
})

test('F40: a room whose list of servers has as many patterns as fit', async () => {
  await using scene = await attackedRoom()
  const { alice, bob, home, hostile, room, roomId } = scene
  const patterns = Array.from({ length: 1_000 }, (_, index) => `*1*2*7*0*0*x${index}`)
  await alice.sendState(roomId, 'm.room.server_acl', { allow: ['*'], deny: patterns, allow_ip_literals: true })
  const uri = `/_matrix/federation/v1/event_auth/${enc(roomId)}/${enc(room.ends[0]!.eventId)}`
  const times: number[] = []
  for (let time = 0; time < 10; time++) {
    const begun = performance.now()
    expect((await hostile.request(home, 'GET', uri)).status).toBe(200)
    times.push(performance.now() - begun)
  }
  expect(Math.min(...times)).toBeLessThan(100)
  await scene.stillWorks(roomId, [bob])
})
