import { expect, test } from 'vitest'
import type { RoomId } from '../../src/matrix/ids.ts'
import type { Answer } from '../../src/testing/test-client.ts'
import { sendJoin } from '../attacked-room.fixtures.ts'
import { startFederatedServer } from '../federated-server.fixtures.ts'
import { startHostileServer } from '../hostile-server.fixtures.ts'

const keysOf = (pdus: readonly Answer[]) => pdus.map((pdu) => `${pdu.type}|${pdu.state_key}`).toSorted()

const shown = ['m.room.create|', 'm.room.history_visibility|', 'm.room.join_rules|', 'm.room.power_levels|']

/** A room of Alice with many others, of which a server is told that can do without its members. */
async function toldOf(federation: object, { name }: { name?: string } = {}) {
  const home = await startFederatedServer(federation)
  const hostile = await startHostileServer()
  const alice = await home.register('alice')
  const roomId = (await alice.createRoom({ preset: 'public_chat', ...(name && { name }) })) as RoomId
  const others = []
  for (let number = 1; number <= 7; number++) {
    const other = await home.register(`other${number}`)
    await other.join(roomId)
    others.push(other.userId)
  }
  const { answer } = await sendJoin(hostile, home, roomId, { query: '?omit_members=true' })
  return {
    answer,
    server: home.ctx.domains.default,
    members: [alice.userId, ...others].map((userId) => `m.room.member|${userId}`),
    async [Symbol.asyncDispose]() {
      await hostile[Symbol.asyncDispose]()
      await home[Symbol.asyncDispose]()
    },
  }
}

test('a room of a few is told whole', async () => {
  await using told = await toldOf({})
  expect(told.answer.members_omitted).toBe(false)
  expect(keysOf(told.answer.state)).toEqual([...shown, ...told.members].toSorted())
})

test('of a nameless room those members are told whom clients name it by, and nothing twice', async () => {
  await using told = await toldOf({ members_told_at_once: 0 })
  expect(told.answer.members_omitted).toBe(true)
  const heroes = told.members.slice(0, 6)
  const state = keysOf(told.answer.state)
  expect(state).toEqual([...shown, ...heroes].toSorted())
  expect(told.answer.auth_chain).toEqual([])
  // Those before the join.
  expect(told.answer.servers_in_room).toEqual([told.server])
})

test('of a named room no members are told but those by whom the rest is allowed, as its auth chain', async () => {
  await using told = await toldOf({ members_told_at_once: 0 }, { name: 'Named' })
  expect(keysOf(told.answer.state).filter((key) => key.startsWith('m.room.member'))).toEqual([])
  expect(keysOf(told.answer.auth_chain)).toEqual([told.members[0]])
})
