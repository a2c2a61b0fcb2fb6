import { expect, test } from 'vitest'
import type { Answer } from '../../src/testing/test-client.ts'
import type { TestServer } from '../../src/testing/test-server.ts'
import { attackedRoom, joinHostile } from '../attacked-room.fixtures.ts'
import { startFederatedServer } from '../federated-server.fixtures.ts'
import { type HostileServer, startHostileServer } from '../hostile-server.fixtures.ts'
import { sees, synced } from '../two-servers.fixtures.ts'

const say = (body: string) => ({ content: { msgtype: 'm.text', body } })

function waitingIn(server: TestServer) {
  return server.ctx.database.db.selectFrom('staged_events').select(['origin', 'tries']).execute()
}

/** A room with a user of the hostile server, who says something that nobody has been sent, and something after it. */
async function roomWithGap(home: TestServer, hostile: HostileServer) {
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  const room = await joinHostile(hostile, home, roomId)
  const lost = room.build(say('lost'))
  const later = room.build({ ...say('later'), prev: [lost] })
  return { alice, roomId, lost, later }
}

test('an event whose predecessors are not here keeps nobody waiting, and comes in when they do', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room, roomId, alice } = scene
  const { room: other, roomId: otherId } = await scene.open()
  const lost = room.build(say('lost'))
  const later = room.build({ ...say('later'), prev: [lost] })
  const latest = room.build({ ...say('latest'), prev: [later] })
  const told = Promise.withResolvers<void>()
  hostile.answer = async ({ path }) => {
    if (!path.includes('/get_missing_events/')) return undefined
    await told.promise
    return { body: { events: [lost.pdu] } }
  }
  const elsewhere = other.build(say('elsewhere'))
  const answer = await hostile.send(home, [later.pdu, latest.pdu, elsewhere.pdu])
  expect(answer).toEqual({ [later.eventId]: {}, [latest.eventId]: {}, [elsewhere.eventId]: {} })
  await sees(alice, otherId, 'elsewhere')
  expect(await waitingIn(home)).toHaveLength(2)
  told.resolve()
  for (const body of ['lost', 'later', 'latest']) await sees(alice, roomId, body)
  await expect.poll(() => waitingIn(home)).toEqual([])
  await scene.stillWorks()
})

test('an event waits for its predecessor to be sent, where nobody tells it', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room, roomId, alice } = scene
  const lost = room.build(say('lost'))
  const later = room.build({ ...say('later'), prev: [lost] })
  await hostile.send(home, [later.pdu])
  await expect.poll(() => waitingIn(home)).toEqual([{ origin: hostile.name, tries: 1 }])
  await hostile.send(home, [lost.pdu])
  for (const body of ['lost', 'later']) await sees(alice, roomId, body)
  await expect.poll(() => waitingIn(home)).toEqual([])
})

test('a receipt that comes with an event that has to wait is there when the event is', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room, roomId, alice } = scene
  const lost = room.build(say('lost'))
  const later = room.build({ ...say('later'), prev: [lost] })
  const read = { [room.user()]: { event_ids: [later.eventId], data: { ts: 1 } } }
  await hostile.send(home, [later.pdu], [{ edu_type: 'm.receipt', content: { [roomId]: { 'm.read': read } } }])
  await hostile.send(home, [lost.pdu])
  await synced(alice, (sync) => {
    const told = (sync.rooms?.join?.[roomId]?.ephemeral?.events ?? []).find(({ type }: Answer) => type === 'm.receipt')
    return told?.content[later.eventId]?.['m.read']?.[room.user()]
  })
})

test('what waits is there after a restart', async () => {
  const home = await startFederatedServer({}, { kept: true })
  await using hostile = await startHostileServer()
  const { alice, roomId, lost, later } = await roomWithGap(home, hostile)
  await hostile.send(home, [later.pdu])
  await home.close()
  hostile.answer = ({ path }) => (path.includes('/get_missing_events/') ? { body: { events: [lost.pdu] } } : undefined)
  const port = Number(home.ctx.domains.default.split(':')[1])
  await using again = await startFederatedServer({}, { like: home, port })
  for (const body of ['lost', 'later']) await sees(again.adopt(alice), roomId, body)
})

test('of what is never told no more than a bounded number is kept', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room } = scene
  const lost = room.build(say('lost'))
  for (let count = 0; count < 21; count++) {
    const events = Array.from({ length: 50 }, (_, index) => room.build({ ...say(`${count} ${index}`), prev: [lost] }))
    await hostile.send(
      home,
      events.map(({ pdu }) => pdu),
    )
  }
  expect(await waitingIn(home)).toHaveLength(1000)
  await scene.stillWorks()
})

test('an event waits no longer for a server that could not be reached once that shows itself, to whichever process', async () => {
  await using home = await startFederatedServer({}, { redis: true })
  await using second = await startFederatedServer({}, { like: home })
  await using hostile = await startHostileServer()
  const { alice, roomId, lost, later } = await roomWithGap(home, hostile)
  hostile.answer = ({ path }) => (path.includes('/get_missing_events/') ? { text: 'the line is cut' } : undefined)
  await hostile.send(home, [later.pdu])
  await expect.poll(() => waitingIn(home)).toEqual([{ origin: hostile.name, tries: 1 }])
  // As it is when that has gone on for a while.
  await home.ctx.database.db
    .updateTable('staged_events')
    .set({ tries: 12, try_at: Date.now() + 600_000 })
    .execute()
  hostile.answer = ({ path }) => (path.includes('/get_missing_events/') ? { body: { events: [lost.pdu] } } : undefined)
  await hostile.request(second, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  for (const body of ['lost', 'later']) await sees(alice, roomId, body)
})
