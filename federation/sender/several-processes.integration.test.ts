import { expect, test } from 'vitest'
import { createTestDatabase, queryOnce } from '../../src/testing/database.ts'
import { createDice } from '../../src/testing/dice.ts'
import type { Answer, TestClient } from '../../src/testing/test-client.ts'
import type { TestServer } from '../../src/testing/test-server.ts'
import { joinHostile } from '../attacked-room.fixtures.ts'
import { BadNetwork } from '../bad-network.fixtures.ts'
import { Deployment } from '../deployment.fixtures.ts'
import { startFederatedServer } from '../federated-server.fixtures.ts'
import { type HostileServer, startHostileServer } from '../hostile-server.fixtures.ts'

const sendsTo = ({ asked }: HostileServer) => asked.filter(({ path }) => path.includes('/send/'))
const bodiesIn = (events: Answer[]) => events.flatMap(({ content }: Answer) => content.body ?? [])
const say = (client: TestClient, roomId: string, body: string) =>
  client.send(roomId as `!${string}`, 'm.room.message', { msgtype: 'm.text', body }, body)

test('of two processes one tells a server, and the other takes over within seconds of its being killed', async () => {
  await using network = new BadNetwork(createDice(1))
  await using home = new Deployment(await network.line(), await createTestDatabase(), { processes: 2 })
  await using hostile = await startHostileServer()
  await using other = await startHostileServer()
  await home.start(0)
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  await joinHostile(hostile, home.process(0), roomId)
  let isHeld = true
  const held = Promise.withResolvers<undefined>()
  hostile.answer = ({ path }) => (isHeld && path.includes('/send/') ? held.promise : undefined)
  await say(alice, roomId, 'under way')
  await expect.poll(() => sendsTo(hostile).length).toBe(1)
  await home.start(1)
  const elsewhere = home.again(alice, 1)
  await say(elsewhere, roomId, 'meanwhile')
  // What the second process follows next is told to another server: by then it has found that the first is at it.
  await joinHostile(other, home.process(1), roomId)
  await say(elsewhere, roomId, 'to the other')
  await expect.poll(() => bodiesIn(other.heard)).toEqual(['to the other'])
  expect(sendsTo(hostile)).toHaveLength(1)
  isHeld = false
  const all = ['under way', 'meanwhile', 'to the other']
  await home.kill(0)
  await expect.poll(() => bodiesIn(hostile.heard), { timeout: 10_000 }).toEqual(all)
  held.resolve(undefined)
}, 60_000)

test('a server that is not to be reached is left alone also after a restart, until it shows itself to any process', async () => {
  const before = await startFederatedServer({}, { redis: true, kept: true })
  await using hostile = await startHostileServer()
  await using other = await startHostileServer()
  const alice = await before.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  for (const server of [hostile, other]) await joinHostile(server, before, roomId)
  const failing = { status: 503, body: { errcode: 'M_UNKNOWN' } }
  hostile.answer = ({ path }) => (path.includes('/send/') ? failing : undefined)
  await say(alice, roomId, 'before')
  const rowOf = async (server: TestServer) =>
    server.ctx.database.db
      .selectFrom('destinations')
      .selectAll()
      .where('server_name', '=', hostile.name)
      .executeTakeFirst()
  await expect.poll(async () => (await rowOf(before))?.failures).toBe(1)
  expect((await rowOf(before))!.retry_at).toBeGreaterThan(Date.now())
  await before.close()
  // As it is after many attempts.
  const retryAt = Date.now() + 3_600_000
  await queryOnce(
    before.database.url,
    `update destinations set failures = 12, retry_at = ${retryAt} where failures > 0`,
  )
  hostile.asked.length = 0
  hostile.answer = () => undefined
  const port = Number(before.ctx.domains.default.split(':')[1])
  await using home = await startFederatedServer({}, { like: before, port })
  const second = await startFederatedServer({}, { like: home })
  await say(home.adopt(alice), roomId, 'after')
  await say(second.adopt(alice), roomId, 'last')
  await expect.poll(() => bodiesIn(other.heard)).toEqual(['before', 'after', 'last'])
  expect(sendsTo(hostile)).toEqual([])
  await hostile.request(second, 'GET', `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`)
  await expect.poll(() => bodiesIn(hostile.heard)).toEqual(['before', 'after', 'last'])
  // The other process has heard of it too: it does not wait for an hour when it has to go on alone.
  await second.close()
  await say(home.adopt(alice), roomId, 'alone')
  await expect.poll(() => bodiesIn(hostile.heard)).toEqual(['before', 'after', 'last', 'alone'])
})
