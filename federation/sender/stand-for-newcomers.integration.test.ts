import { expect, test } from 'vitest'
import { retireRoom } from '../../src/storage/purge-room.ts'
import type { Answer } from '../../src/testing/test-client.ts'
import type { TestServer } from '../../src/testing/test-server.ts'
import { HostileRoom, joinHostile } from '../attacked-room.fixtures.ts'
import { startFederatedServer } from '../federated-server.fixtures.ts'
import { type HostileServer, startHostileServer } from '../hostile-server.fixtures.ts'

const bodiesHeard = ({ heard }: HostileServer) => heard.flatMap(({ content }: Answer) => content.body ?? [])

/** Somebody of a server that nobody knew of joins through another one, which does not know what was said meanwhile. */
async function joinsElsewhere(newcomer: HostileServer, through: HostileRoom, home: TestServer): Promise<void> {
  const room = new HostileRoom(newcomer, through.roomId, through.rules)
  room.take([...through.state.values()])
  room.ends = through.ends
  const join = room.build({
    type: 'm.room.member',
    sender: room.user(),
    stateKey: room.user(),
    content: { membership: 'join' },
  })
  await through.hostile.send(home, [join.pdu])
}

async function scene(options: object = {}, kept = false) {
  const home = await startFederatedServer({}, { kept })
  const [resident, newcomer] = [await startHostileServer(), await startHostileServer()]
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat', ...options })
  const through = await joinHostile(resident, home, roomId)
  return { home, resident, newcomer, alice, roomId, through }
}

test('a server that came in by another one is told where the room stands, what it may not see without its content', async () => {
  const hidden = {
    type: 'm.room.history_visibility',
    state_key: '',
    content: { history_visibility: 'joined' },
  }
  for (const options of [{}, { initial_state: [hidden] }]) {
    const { home, resident, newcomer, alice, roomId, through } = await scene(options)
    await using _home = home
    await using _resident = resident
    await using _newcomer = newcomer
    const { event_id: eventId }: Answer = await alice.send(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'meanwhile',
    })
    await joinsElsewhere(newcomer, through, home)
    await expect.poll(() => newcomer.heard.map((pdu) => through.eventOf(pdu).eventId)).toEqual([eventId])
    expect(bodiesHeard(newcomer)).toEqual('initial_state' in options ? [] : ['meanwhile'])
    // It is told once, and what happens from then on like anybody.
    await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'afterwards' })
    await expect.poll(() => bodiesHeard(newcomer).at(-1)).toBe('afterwards')
    expect(newcomer.heard).toHaveLength(2)
  }
})

test('it is told also by the process that comes after one that was killed', async () => {
  const { home, resident, newcomer, alice, roomId, through } = await scene({}, true)
  await using _resident = resident
  await using _newcomer = newcomer
  let isAway = true
  newcomer.answer = ({ path }) => (isAway && path.includes('/send/') ? { status: 503, body: {} } : undefined)
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'meanwhile' })
  await joinsElsewhere(newcomer, through, home)
  await expect.poll(() => newcomer.asked.some(({ path }) => path.includes('/send/'))).toBe(true)
  await home.close()
  isAway = false
  const port = Number(home.ctx.domains.default.split(':')[1])
  await using again = await startFederatedServer({}, { like: home, port })
  await newcomer.request(again, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  await expect.poll(() => bodiesHeard(newcomer)).toEqual(['meanwhile'])
})

test('of a room with more ends than fit into a transaction the last are told, and what happens from then on', async () => {
  const { home, resident, newcomer, alice, roomId, through } = await scene({}, true)
  await using _resident = resident
  await using _newcomer = newcomer
  let isAway = true
  newcomer.answer = ({ path }) => (isAway && path.includes('/send/') ? { status: 503, body: {} } : undefined)
  const forks = Array.from({ length: 60 }, (_, index) => through.build({ content: { body: `fork ${index}` } }))
  for (const some of [forks.slice(0, 30), forks.slice(30)]) {
    await resident.send(
      home,
      some.map(({ pdu }) => pdu),
    )
  }
  await joinsElsewhere(newcomer, through, home)
  await expect.poll(() => newcomer.asked.some(({ path }) => path.includes('/send/'))).toBe(true)
  await home.close()
  isAway = false
  const port = Number(home.ctx.domains.default.split(':')[1])
  await using again = await startFederatedServer({}, { like: home, port })
  await newcomer.request(again, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  const last = forks.slice(-20).map(({ pdu }) => pdu.content.body)
  await expect.poll(() => bodiesHeard(newcomer)).toEqual(last)
  await again.adopt(alice).send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'afterwards' }, 'afterwards')
  await expect.poll(() => bodiesHeard(newcomer)).toEqual([...last, 'afterwards'])
})

test('nothing is told any more of a room that was deleted meanwhile: nobody can say what may be seen of it', async () => {
  const { home, resident, newcomer, alice, roomId, through } = await scene()
  await using _home = home
  await using _resident = resident
  await using _newcomer = newcomer
  let isAway = true
  newcomer.answer = ({ path }) => (isAway && path.includes('/send/') ? { status: 503, body: {} } : undefined)
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'meanwhile' })
  await joinsElsewhere(newcomer, through, home)
  await expect.poll(() => newcomer.asked.some(({ path }) => path.includes('/send/'))).toBe(true)
  const other = await alice.createRoom({ preset: 'public_chat' })
  await joinHostile(newcomer, home, other)
  const { room } = (await home.ctx.hotRooms.get(roomId))!
  // As it is until the last of its events is gone.
  await home.ctx.database.transaction((query) => retireRoom(query, room))
  home.ctx.invalidations.publish('room', roomId)
  isAway = false
  await newcomer.request(home, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  await alice.send(other, 'm.room.message', { msgtype: 'm.text', body: 'elsewhere' })
  await expect.poll(() => bodiesHeard(newcomer)).toContain('elsewhere')
  expect(newcomer.heard.map((pdu: Answer) => pdu.room_id)).toEqual([other])
})
