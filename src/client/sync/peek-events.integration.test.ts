import { ClientEvent, createClient, RoomEvent } from 'matrix-js-sdk'
import type { Logger } from 'matrix-js-sdk/lib/logger.js'
import { expect, test } from 'vitest'
import { type Answer, startTestServer } from '../../testing/index.ts'

const silent: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, getChild: () => silent }
const readable = {
  type: 'm.room.history_visibility',
  state_key: '',
  content: { history_visibility: 'world_readable' },
}
const text = (body: string) => ({ msgtype: 'm.text', body })

test('who is not in a room that all may read is told what happens there, and waits for it', async () => {
  await using server = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: server })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ initial_state: [readable] })
  await alice.send(room, 'm.room.message', text('before'))
  const { messages } = await bob.get(`/rooms/${encodeURIComponent(room)}/initialSync`)
  const peek = (from?: string, timeout = 0): Promise<Answer> =>
    bob.get('/events', { room_id: room, timeout, ...(from !== undefined && { from }) })
  const nothing = await peek(messages.end)
  expect(nothing.chunk).toEqual([])
  expect((await peek()).chunk).toEqual([])
  const waiting = peek(nothing.end, 30_000)
  await second.adopt(alice).send(room, 'm.room.message', text('one'), 'by the other process')
  const first = await waiting
  expect(first).toMatchObject({ start: nothing.end, chunk: [{ room_id: room, content: { body: 'one' } }] })
  await alice.send(room, 'm.room.message', text('two'))
  await alice.send(room, 'm.room.message', text('three'))
  const next = await peek(first.end, 30_000)
  expect(next.chunk.map((event: Answer) => event.content.body)).toEqual(['two', 'three'])
  expect((await peek(next.end)).chunk).toEqual([])
  expect((await peek(first.end)).chunk.map((event: Answer) => event.event_id)).toEqual(
    next.chunk.map((event: Answer) => event.event_id),
  )

  // Once it may be read by members only, whoever waits is told so.
  const query = { room_id: room, from: next.end, timeout: 30_000 }
  const last = bob.attempt('get', '/events', { query })
  await alice.sendState(room, readable.type, { history_visibility: 'shared' })
  expect((await last).status).toBe(403)
})

test('only what may be seen, and only what is asked rightly', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const status = async (query: string) => (await bob.attempt('get', `/events?${query}`)).status
  expect(await status(`room_id=${encodeURIComponent(room)}`)).toBe(403)
  expect(await status('room_id=%21nowhere:a.test')).toBe(403)
  expect(await status('room_id=x')).toBe(400)
  expect(await status(`room_id=${encodeURIComponent(room)}&from=x`)).toBe(400)
  expect((await server.request('get', `/_matrix/client/v3/events?room_id=${room}`)).status).toBe(401)
})

test('matrix-js-sdk shows a room before it is joined', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ name: 'Shown', initial_state: [readable] })
  const { userId, accessToken } = bob
  const client = createClient({ baseUrl: server.url, userId, accessToken, logger: silent })
  const synced = new Promise((resolve) => client.once(ClientEvent.Sync, resolve))
  await client.startClient()
  await synced
  try {
    const shown = await client.peekInRoom(room)
    expect(shown.name).toBe('Shown')
    const heard = new Promise((resolve) =>
      client.on(RoomEvent.Timeline, (event) => event.getContent().body === 'hello' && resolve(event.getSender())),
    )
    await alice.send(room, 'm.room.message', text('hello'))
    expect(await heard).toBe(alice.userId)
  } finally {
    client.stopPeeking()
    client.stopClient()
  }
})
