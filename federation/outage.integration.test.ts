import { expect, test } from 'vitest'
import type { RoomId } from '../src/matrix/ids.ts'
import { queryOnce } from '../src/testing/database.ts'
import { createFakeClock } from '../src/testing/fakes.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import { joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { type HostileServer, startHostileServer } from './hostile-server.fixtures.ts'
import { sees, synced, via } from './two-servers.fixtures.ts'

type Server = Awaited<ReturnType<typeof startFederatedServer>>

const portOf = (server: Server): number => Number(server.ctx.domains.default.split(':')[1])
const again = (server: Server) => startFederatedServer({}, { like: server, port: portOf(server), kept: true })

/** More than is told one by one. */
const [roomCount, inEach] = [13, 80]

/** All rooms are talked in; the last word is spoken in one after the other. */
async function talk(alice: TestClient, rooms: readonly RoomId[]): Promise<void> {
  const say = (index: number, number: number) =>
    alice.send(rooms[index]!, 'm.room.message', { msgtype: 'm.text', body: `${index} ${number}` }, `${index}-${number}`)
  const all = [...rooms.keys()]
  for (let number = 0; number < inEach - 1; number++) await Promise.all(all.map((index) => say(index, number)))
  for (const index of all) await say(index, inEach - 1)
}

/** What was said in the messages of each transaction. */
function transactionsIn(hostile: HostileServer): string[][] {
  const sent = hostile.asked.filter(({ path }) => path.startsWith('/_matrix/federation/v1/send/'))
  return sent.map(({ body }) => body.pdus.map(({ content }: Answer) => content.body))
}

test('a server that missed too much is told how each room stands, the latest first, and goes on after another interruption', async () => {
  await using hostile = await startHostileServer()
  const home = await startFederatedServer({}, { kept: true })
  const alice = await home.register('alice')
  const rooms: RoomId[] = []
  for (let index = 0; index < roomCount; index++) rooms.push(await alice.createRoom({ preset: 'public_chat' }))
  await Promise.all(rooms.map((room) => joinHostile(hostile, home, room)))
  let taken = 0
  hostile.answer = ({ path }) =>
    path.includes('/send/') && taken-- <= 0 ? { status: 503, body: { errcode: 'M_UNKNOWN' } } : undefined
  await talk(alice, rooms)
  await home.close()

  const returned = async (server: Server, accepts: number, transactions: number): Promise<string[][]> => {
    hostile.asked.length = 0
    taken = accepts
    await hostile.request(server, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
    await expect.poll(() => transactionsIn(hostile).length).toBeGreaterThanOrEqual(transactions)
    return transactionsIn(hostile).slice(0, accepts)
  }
  const last = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `${from + index} ${inEach - 1}`)

  const second = await again(home)
  // The one after it is refused.
  expect(await returned(second, 1, 2)).toEqual([last(3, 12)])
  await second.adopt(alice).send(rooms[0]!, 'm.room.message', { msgtype: 'm.text', body: 'now' }, 'now')
  await second.close()
  await using third = await startFederatedServer({}, { like: home, port: portOf(home) })
  expect(await returned(third, 2, 1)).toEqual([[...last(1, 2), 'now']])
  await third.adopt(alice).send(rooms[3]!, 'm.room.message', { msgtype: 'm.text', body: 'later' }, 'later')
  await expect.poll(() => transactionsIn(hostile).at(-1)).toEqual(['later'])
  const row = await third.ctx.database.db.selectFrom('destinations').selectAll().executeTakeFirst()
  expect(row).toMatchObject({ missed_after: null, missed_up_to: null, failures: 0 })
}, 60_000)

test('a server of ours that missed too much sees every room live, and has all that was said in it', async () => {
  await using one = await startFederatedServer()
  const other = await startFederatedServer({}, { kept: true })
  const [alice, bob] = [await one.register('alice'), await other.register('bob')]
  const rooms: RoomId[] = []
  for (let index = 0; index < roomCount; index++) {
    rooms.push(await alice.createRoom({ preset: 'public_chat' }))
  }
  await Promise.all(rooms.map((room) => bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)))
  await other.close()
  await talk(alice, rooms)
  await using otherAgain = await startFederatedServer({}, { like: other, port: portOf(other) })
  const bobAgain = otherAgain.adopt(bob)
  await bobAgain.send(rooms[0]!, 'm.room.message', { msgtype: 'm.text', body: 'back' }, 'back')
  const waiting = new Set<string>(rooms)
  await synced(bobAgain, (sync) => {
    for (const [index, room] of rooms.entries()) {
      const events: Answer[] = sync.rooms?.join?.[room]?.timeline?.events ?? []
      if (events.some(({ content }) => content.body === `${index} ${inEach - 1}`)) waiting.delete(room)
    }
    return waiting.size === 0 || undefined
  })
  const sent = /^chappe_federation_sent_total\{kind="pdu"\} (\d+)$/m.exec(await one.ctx.metrics.scrape())?.[1]
  expect(Number(sent)).toBeLessThan(100)
  for (const [index, room] of rooms.entries()) {
    const bodies: string[] = []
    for (let from: string | undefined = ''; from !== undefined; ) {
      const query = { dir: 'b', limit: 100, ...(from !== '' && { from }) }
      const page: Answer = await bobAgain.get(`/rooms/${encodeURIComponent(room)}/messages`, query)
      bodies.unshift(...page.chunk.flatMap(({ content }: Answer) => content.body ?? []).reverse())
      from = page.end
    }
    const expected = Array.from({ length: inEach }, (_, number) => `${index} ${number}`)
    expect(bodies.filter((body) => body !== 'back')).toEqual(expected)
  }
}, 60_000)

test('what a process was sending when it was killed is sent by the next one, at once', async () => {
  const one = await startFederatedServer({}, { kept: true })
  await using other = await startFederatedServer()
  const [alice, bob] = [await one.register('alice'), await other.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before' })
  await sees(bob, room, 'before')
  await one.close()
  await using killed = await startFederatedServer({}, { like: one, port: portOf(one) })
  // As the row is left behind by a process that had no time to give it back.
  const left = { owner: 'of a process that is gone', owned_until: Date.now() + 3_600_000 }
  await killed.ctx.database.db.updateTable('destinations').set(left).execute()
  await killed.adopt(alice).send(room, 'm.room.message', { msgtype: 'm.text', body: 'after' }, 'after')
  await sees(bob, room, 'after')
})

test('a server that nothing was ever sent to is told what was said before the process was killed', async () => {
  const one = await startFederatedServer({}, { kept: true })
  const other = await startFederatedServer({}, { kept: true })
  const [alice, bob] = [await one.register('alice'), await other.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await other.close()
  const { position } = one.ctx.stream
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'the last words' })
  await one.close()
  // As they are left behind by a process that had no time to write anything.
  await queryOnce(one.database.url, 'delete from destinations')
  await queryOnce(one.database.url, `update stream_followers set position = ${position} where name = 'federation'`)
  await using _again = await startFederatedServer({}, { like: one, port: portOf(one) })
  await using otherAgain = await startFederatedServer({}, { like: other, port: portOf(other) })
  await sees(otherAgain.adopt(bob), room, 'the last words')
})

test('a server that was away is told everything once it is back, in order, whether or not the sender was away too', async () => {
  const one = await startFederatedServer({}, { kept: true })
  const other = await startFederatedServer({}, { kept: true })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before' })
  await sees(bob, room, 'before')
  await other.close()
  const say = (body: string) => alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
  for (let number = 0; number < 60; number++) await say(`first ${number}`)
  await one.close()
  await using oneAgain = await startFederatedServer({}, { like: one, port: portOf(one) })
  const aliceAgain = oneAgain.adopt(alice)
  for (let number = 0; number < 60; number++) {
    await aliceAgain.send(room, 'm.room.message', { msgtype: 'm.text', body: `second ${number}` }, `second${number}`)
  }
  await using otherAgain = await startFederatedServer({}, { like: other, port: portOf(other) })
  const bobAgain = otherAgain.adopt(bob)
  // Whoever shows itself is not kept waiting.
  await bobAgain.send(room, 'm.room.message', { msgtype: 'm.text', body: 'back' }, 'back')
  await sees(bobAgain, room, 'second 59')
  const page: Answer = await bobAgain.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 200 })
  const bodies = page.chunk.flatMap(({ sender, content }: Answer) => (sender === alice.userId && content.body) || [])
  const expected = ['first', 'second'].flatMap((word) => Array.from({ length: 60 }, (_, index) => `${word} ${index}`))
  expect(bodies.reverse()).toEqual(['before', ...expected])
  await synced(aliceAgain, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find(({ content }: Answer) => content.body === 'back'),
  )
}, 60_000)

test('a server that missed too much is told all ends of a room that has more than an event can follow', async () => {
  await using hostile = await startHostileServer()
  await using other = await startHostileServer()
  // It stands still: nobody tries before the server shows itself, and by then all of it is there.
  await using home = await startFederatedServer({}, { clock: createFakeClock(Date.now()) })
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  await joinHostile(hostile, home, roomId)
  const theirs = await joinHostile(other, home, roomId)
  hostile.answer = ({ path }) => (path.includes('/send/') ? { status: 503, body: { errcode: 'M_UNKNOWN' } } : undefined)
  const say = (body: string) => alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body }, body)
  for (let lot = 0; lot < 21; lot++) await Promise.all(Array.from({ length: 50 }, (_, index) => say(`${lot} ${index}`)))
  // What another server says on forks of its own, and does not come to tell.
  const forks = Array.from({ length: 45 }, (_, index) =>
    theirs.build({ content: { msgtype: 'm.text', body: `fork ${index}` } }),
  )
  for (const some of [forks.slice(0, 25), forks.slice(25)])
    await other.send(
      home,
      some.map(({ pdu }) => pdu),
    )
  hostile.answer = () => undefined
  // What it is told of, and what it will ask for since that follows it.
  const known = () =>
    new Set(
      hostile.heard.map((pdu) => theirs.eventOf(pdu)).flatMap(({ eventId, prevEvents }) => [eventId, ...prevEvents]),
    )
  await hostile.request(home, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  await say('now')
  await expect.poll(() => forks.filter(({ eventId }) => !known().has(eventId)).length).toBe(0)
  expect(hostile.heard.length).toBeLessThan(80)
}, 60_000)

test('a server that shows itself while it is being sent to in vain is sent to again at once', async () => {
  await using hostile = await startHostileServer()
  // It stands still: nobody tries by themselves.
  await using home = await startFederatedServer({}, { clock: createFakeClock(Date.now()) })
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  await joinHostile(hostile, home, roomId)
  const held = Promise.withResolvers<void>()
  const sends = () => hostile.asked.filter(({ path }) => path.includes('/send/')).length
  const failing = { status: 503, body: { errcode: 'M_UNKNOWN' } }
  hostile.answer = async ({ path }) => {
    if (!path.includes('/send/') || sends() > 2) return undefined
    if (sends() === 2) await held.promise
    return failing
  }
  const showsItself = () => hostile.request(home, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'hello' })
  const row = () => home.ctx.database.db.selectFrom('destinations').selectAll().executeTakeFirst()
  await expect.poll(row).toMatchObject({ failures: 1, owner: null })
  await showsItself()
  await expect.poll(sends).toBe(2)
  await showsItself()
  held.resolve()
  await expect.poll(() => hostile.heard.map(({ content }) => content.body)).toEqual(['hello'])
})
