import { expect, test } from 'vitest'
import { type Answer, startTestServer } from '../testing/index.ts'

/** Everything that the client is told about a room from the beginning, in the order of the timeline. */
async function timelineOf(client: { get(path: string, query?: object): Promise<Answer> }, room: string) {
  const page = await client.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'f', limit: 1000 })
  return page.chunk as { event_id: string; type: string; content: { body?: string } }[]
}

/** Two processes with a client each, in a room. */
async function startBoth() {
  const one = await startTestServer({ redis: true })
  const other = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  return {
    one,
    alice,
    bob,
    room,
    async [Symbol.asyncDispose]() {
      await other[Symbol.asyncDispose]()
      await one[Symbol.asyncDispose]()
    },
  }
}

test('a conversation between clients of two processes', async () => {
  await using one = await startTestServer({ redis: true })
  await using other = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'private_chat' })
  const start = await bob.get('/sync')
  const waitingForInvite = bob.get('/sync', { since: start.next_batch, timeout: 10_000 })
  await alice.invite(room, bob.userId)
  expect(Object.keys((await waitingForInvite).rooms.invite)).toEqual([room])

  await bob.join(room)
  const since = (await alice.get('/sync')).next_batch
  const waiting = alice.get('/sync', { since, timeout: 10_000 })
  const { event_id: eventId } = await bob.send(room, 'm.room.message', { body: 'from the other process' })
  const told = (await waiting).rooms.join[room].timeline.events
  expect(told.map((event: { event_id: string }) => event.event_id)).toEqual([eventId])
})

test('two processes write to one room at once: every event once, the same order for both, no position skipped', async () => {
  await using both = await startBoth()
  const { one, alice, bob, room } = both
  const sent = await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      [alice, bob].map((client) => client.send(room, 'm.room.message', { body: `${client.userId} ${index}` })),
    ).flat(),
  )
  const ids = sent.map((answer) => answer.event_id)
  expect(new Set(ids).size).toBe(120)
  const [seenByAlice, seenByBob] = await Promise.all([timelineOf(alice, room), timelineOf(bob, room)])
  expect(seenByAlice.map((event) => event.event_id)).toEqual(seenByBob.map((event) => event.event_id))
  const messages = seenByAlice.filter((event) => event.type === 'm.room.message').map((event) => event.event_id)
  expect(messages.toSorted()).toEqual(ids.toSorted())

  const rows = await one.ctx.database.db.selectFrom('events').select('event_nid').orderBy('event_nid').execute()
  const { position } = await one.ctx.database.db.selectFrom('stream').select('position').executeTakeFirstOrThrow()
  expect(rows.at(-1)!.event_nid).toBeLessThanOrEqual(position)
})

test('a process that writes to a room now and then comes to its turn beside one that does not cease to', async () => {
  await using both = await startBoth()
  const { alice, bob, room } = both
  let isOver = false
  const ceaseless = Array.from({ length: 16 }, async () => {
    while (!isOver) await alice.send(room, 'm.room.message', { body: 'and again' })
  })
  const turns = Array.from({ length: 30 }, (_, index) => bob.send(room, 'm.room.message', { body: `${index}` }))
  const answers = await Promise.all(turns).finally(() => {
    isOver = true
  })
  await Promise.all(ceaseless)
  expect(new Set(answers.map(({ event_id: eventId }) => eventId)).size).toBe(30)
})

test('a process that has written alone for a while counts on the stream being where it left it, and asks where it is not', async () => {
  await using both = await startBoth()
  const { one, alice, bob, room } = both
  const say = (client: typeof alice, body: string) => client.send(room, 'm.room.message', { body })
  /** The statements on the stream's position that a message takes. */
  const movesOf = async (body: string): Promise<string[]> => {
    const log: string[] = []
    one.ctx.database.cost.log = log
    await say(alice, body)
    await one.ctx.writer.drain()
    one.ctx.database.cost.log = undefined
    return log.filter((text) => text.includes('update stream set')).map((text) => text.split(' ')[0]!)
  }
  for (const body of ['1', '2', '3', '4']) await say(alice, body)
  expect(await movesOf('5')).toEqual(['with'])
  await say(bob, '6')
  expect(await movesOf('7')).toEqual(['with', 'update'])
  expect(await movesOf('8')).toEqual(['update'])

  for (const client of [alice, bob]) {
    const bodies = (await timelineOf(client, room)).flatMap(({ content: { body } }) => body ?? [])
    expect(bodies).toEqual(['1', '2', '3', '4', '5', '6', '7', '8'])
  }
  const { position } = await one.ctx.database.db.selectFrom('stream').select('position').executeTakeFirstOrThrow()
  const last = await one.ctx.database.db
    .selectFrom('events')
    .select('event_nid')
    .orderBy('event_nid', 'desc')
    .executeTakeFirst()
  expect(last!.event_nid).toBe(position)
})
