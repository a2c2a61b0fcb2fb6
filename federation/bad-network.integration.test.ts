import { expect, test } from 'vitest'
import type { RoomId } from '../src/matrix/ids.ts'
import { createDice } from '../src/testing/dice.ts'
import type { TestClient } from '../src/testing/test-client.ts'
import { BadNetwork } from './bad-network.fixtures.ts'
import { eventsSeen, meetAgain, startDeployment, stateSeen } from './deployment.fixtures.ts'

const rounds = 6
const seed = Number(process.env.CHAPPE_CHAOS_SEED ?? 1)

/** Everybody talks in every room and changes what is shown of it and of themselves, all at once. */
async function talk(
  users: readonly TestClient[],
  rooms: readonly RoomId[],
  when: string,
  isSilent: (user: TestClient, room: RoomId) => boolean = () => false,
): Promise<void> {
  const one = async (user: TestClient, room: RoomId): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const word = `${when} ${round} of ${user.userId}`
      await user.send(room, 'm.room.message', { msgtype: 'm.text', body: word })
      if (round % 3 === 0) await user.sendState(room, 'm.room.topic', { topic: word })
      if (round % 3 === 1) {
        await user.sendState(room, 'm.room.member', { membership: 'join', displayname: word }, user.userId)
      }
    }
  }
  const pairs = users.flatMap((user) => rooms.map((room) => [user, room] as const))
  await Promise.all(pairs.filter((pair) => !isSilent(...pair)).map((pair) => one(...pair)))
}

test('two deployments of two processes have the same rooms once the network between them is good again', async () => {
  await using network = new BadNetwork(createDice(seed))
  await using one = await startDeployment(network, { processes: 2, domains: 2 })
  await using other = await startDeployment(network, { processes: 2 })
  const users = await Promise.all([
    one.register('alice'),
    one.register('anna', { domain: one.domains[1]!, at: 1 }),
    other.register('bob'),
    other.register('ben', { at: 1 }),
  ])
  const [alice, anna, bob, ben] = users as [TestClient, TestClient, TestClient, TestClient]
  const rooms: RoomId[] = []
  const levelsOf = (owner: TestClient, version: string) => {
    const everybody = users.map(({ userId }) => [userId, userId === owner.userId ? 100 : 60] as const)
    // Whoever creates a room of version 12 is above all levels, and must not have one.
    const named = everybody.filter(([userId]) => version !== '12' || userId !== owner.userId)
    return { users: Object.fromEntries(named), events: {}, state_default: 50 }
  }
  for (const [owner, version] of [
    [alice, '12'],
    [anna, '11'],
    [bob, '10'],
  ] as const) {
    const options = {
      preset: 'public_chat',
      room_version: version,
      power_level_content_override: levelsOf(owner, version),
    }
    const room = await owner.createRoom(options)
    const via = owner.userId.slice(owner.userId.indexOf(':') + 1)
    for (const user of users) {
      if (user !== owner) await user.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(via)}`)
    }
    rooms.push(room)
  }

  network.conditions = { delay: 30, cut: 0.1 }
  // Anna is put out of a room without knowing it: what she said there meanwhile would be only where it was known no sooner.
  const isSilent = (user: TestClient, room: RoomId) => user === anna && room === rooms[2]
  await talk(users, rooms, 'on a bad line', isSilent)
  network.part(one.line, other.line)
  // Both sides change the levels of one room.
  await Promise.all([
    talk(users, rooms, 'apart', isSilent),
    anna.sendState(rooms[1]!, 'm.room.power_levels', { ...levelsOf(anna, '11'), ban: 55 }),
    ben.sendState(rooms[1]!, 'm.room.power_levels', { ...levelsOf(anna, '11'), kick: 55 }),
    bob.membership(rooms[2]!, 'kick', { user_id: anna.userId }),
  ])
  network.heal()
  await meetAgain(users)
  await talk([alice, bob], rooms, 'together')

  const toldIn = async (room: RoomId): Promise<string> => {
    const members = users.filter((user) => !isSilent(user, room))
    const seen = await Promise.all(
      members.map(async (user) => ({
        state: [...(await stateSeen(user, room))],
        events: (await eventsSeen(user, room)).sort(),
      })),
    )
    for (const { events } of seen) expect(new Set(events).size).toBe(events.length)
    const different = new Set(seen.map((one) => JSON.stringify(one)))
    return different.size === 1
      ? 'the same'
      : JSON.stringify(seen.map(({ events, state }) => [events.length, state.length]))
  }
  for (const room of rooms) await expect.poll(() => toldIn(room), { timeout: 30_000, interval: 200 }).toBe('the same')
}, 90_000)
