import pg from 'pg'
import { expect, test } from 'vitest'
import type { RoomId } from '../../src/matrix/ids.ts'
import { createDice } from '../../src/testing/dice.ts'
import type { TestClient } from '../../src/testing/test-client.ts'
import { BadNetwork } from '../bad-network.fixtures.ts'
import { type Deployment, startDeployment } from '../deployment.fixtures.ts'
import { sees } from '../two-servers.fixtures.ts'

const enc = encodeURIComponent
/** More than are told at once. */
const memberCount = 55

async function crowdedRoom(home: Deployment): Promise<{ alice: TestClient; room: RoomId }> {
  const alice = await home.register('alice')
  const room: RoomId = await alice.createRoom({ preset: 'public_chat', name: 'Many' })
  const comeIn = async (number: number): Promise<void> => {
    const member = await home.register(`member${number}`)
    await member.post(`/join/${enc(room)}`)
  }
  await Promise.all(Array.from({ length: memberCount }, (_, number) => comeIn(number)))
  return { alice, room }
}

/** Keeps the members from being fetched, as if another process of the deployment had that job, until it is released. */
async function holdJob(deployment: Deployment): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: deployment.database.url })
  await client.connect()
  await client.query("select pg_advisory_lock(hashtextextended('chappe owns rooms without members', 0))")
  return client
}

test('the members of a room arrive although both servers are killed while they are not there', async () => {
  await using network = new BadNetwork(createDice(1))
  await using home = await startDeployment(network)
  await using other = await startDeployment(network)
  const { alice, room } = await crowdedRoom(home)
  const first = await other.register('bob')
  await other.kill()
  const held = await holdJob(other)
  await other.start()
  const bob = other.again(first)
  await bob.post(`/join/${enc(room)}?via=${enc(home.name)}`)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before the members' })
  await sees(alice, room, 'before the members')
  await Promise.all([other.kill(), home.kill()])
  await held.end()
  await other.start()
  await home.start()
  // Whoever cannot reach the other server yet is not kept waiting once that shows itself.
  await home.again(alice).send(room, 'm.room.message', { msgtype: 'm.text', body: 'back' })
  const bobAgain = other.again(first)
  await sees(bobAgain, room, 'back')
  const { joined } = await bobAgain.get(`/rooms/${enc(room)}/joined_members`)
  expect(Object.keys(joined)).toHaveLength(memberCount + 2)
  await expect
    .poll(async () => (await bobAgain.sync()).rooms.join[room]?.summary?.['m.joined_member_count'])
    .toBe(memberCount + 2)
}, 120_000)
