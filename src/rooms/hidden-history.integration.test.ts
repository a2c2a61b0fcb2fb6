import { expect, test } from 'vitest'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { EventOutline } from '../testing/event-graph.ts'
import { startTestServer, type TestServer } from '../testing/index.ts'
import { graphOf } from '../testing/stored-room.ts'
import { acceptEvent } from './accept-event.ts'
import { storeHistory } from './store-history.ts'

const bob: UserId = '@bob:b.test'

function message(body: string, relatesTo?: { rel_type: string; event_id: EventId }): EventOutline {
  const content = { msgtype: 'm.text', body, ...(relatesTo && { 'm.relates_to': relatesTo }) }
  return { type: 'm.room.message', sender: bob, content }
}

/**
 * A room whose history was for members only for a while. What was sent then lies on a fork that arrived later, and in a gap
 * that was filled later: by their positions alone all of it would be of a time when the history was shared.
 */
async function roomWithHiddenPast(server: TestServer) {
  const { ctx } = server
  const alice = await server.register('alice')
  const roomId = (await alice.createRoom({ preset: 'public_chat', room_version: '11' })) as RoomId
  const graph = await graphOf(ctx, roomId)
  const arrive = async (outline: EventOutline, told: { stateBefore?: EventId[] } = {}) => {
    const event = graph.append(outline)
    expect(await acceptEvent(ctx, event, told)).toEqual({ outcome: 'accepted' })
    return event
  }
  const visibility = (value: string): EventOutline => {
    const content = { history_visibility: value }
    return { type: 'm.room.history_visibility', sender: alice.userId, stateKey: '', content }
  }
  const inThread = (root: RoomEvent) => ({ rel_type: 'm.thread', event_id: root.eventId })
  await arrive({ type: 'm.room.member', sender: bob, stateKey: bob, content: { membership: 'join' } })
  const root = await arrive(message('shown root'))
  await arrive(message('shown in thread', inThread(root)))
  const restricted = await arrive(visibility('joined'))
  const past = ['secret root', 'secret'].map((body) => graph.append(message(body)))
  past.push(graph.append(message('secret in thread', inThread(root))))
  past.push(graph.append(message('secret reference', { rel_type: 'm.reference', event_id: root.eventId })))
  const stateBefore = [...graph.currentState().values()]
  await arrive(visibility('shared'), { stateBefore })
  await arrive(message('shown in another thread', inThread(past[0]!)))
  const fork = [await arrive({ ...message('secret fork'), after: [restricted] })]
  fork.push(await arrive({ ...message('secret fork in thread', inThread(root)), after: [fork[0]!] }))
  fork.push(
    await arrive({
      ...message('* secret edit of the fork', { rel_type: 'm.replace', event_id: root.eventId }),
      after: [fork[1]!],
    }),
  )
  await arrive(message('shown last'))
  const stored = await storeHistory(ctx, roomId, [...past].reverse(), {
    statesBefore: new Map([[past[0]!.eventId, [...graph.nodes.get(past[0]!.eventId)!.before.values()]]]),
  })
  expect(stored.map(({ outcome }) => outcome)).toEqual(past.map(() => 'accepted'))
  return { alice, roomId, root, hidden: [...past, ...fork] }
}

test('who joined later sees nothing of a time for members only, wherever it lies in the timeline', async () => {
  await using server = await startTestServer()
  const { alice, roomId, root, hidden } = await roomWithHiddenPast(server)
  const dan = await server.register('dan')
  await dan.join(roomId)
  const room = `/rooms/${encodeURIComponent(roomId)}`
  const v1 = room.replace('/rooms', '/_matrix/client/v1/rooms')
  const reads: [string, Record<string, string>][] = [
    [`${room}/messages`, { dir: 'b', limit: '100' }],
    [`${room}/messages`, { dir: 'f', limit: '100' }],
    [`${room}/event/${root.eventId}`, {}],
    [`${room}/context/${root.eventId}`, { limit: '100' }],
    [`${v1}/relations/${root.eventId}`, {}],
    [`${v1}/threads`, {}],
  ]
  for (const [path, query] of reads) {
    const shown = JSON.stringify(await dan.get(path, query))
    expect(shown, path).toContain('shown')
    expect(shown, path).not.toContain('secret')
    // The first is named by what answers it.
    for (const { eventId } of hidden.slice(1)) expect(shown, path).not.toContain(eventId)
    expect(JSON.stringify(await alice.get(path, query)), path).toContain('secret')
  }
  for (const { eventId, pdu } of hidden) {
    for (const path of [`${room}/event/${eventId}`, `${room}/context/${eventId}`, `${v1}/relations/${eventId}`]) {
      expect((await dan.attempt('get', path)).body, path).toMatchObject({ errcode: 'M_NOT_FOUND' })
    }
    for (const dir of ['f', 'b']) {
      const query = { dir, ts: `${pdu.origin_server_ts}` }
      const { event_id: nearest } = await dan.get(`${v1}/timestamp_to_event`, query)
      expect(hidden.map((event) => event.eventId)).not.toContain(nearest)
      expect(await alice.get(`${v1}/timestamp_to_event`, query)).toMatchObject({ event_id: eventId })
    }
  }
})

test('pages over much that is hidden, and over everything one by one', async () => {
  await using server = await startTestServer()
  const { alice, roomId } = await roomWithHiddenPast(server)
  const dan = await server.register('dan')
  await dan.join(roomId)
  const path = `/rooms/${encodeURIComponent(roomId)}/messages`
  for (const reader of [alice, dan]) {
    for (const dir of ['b', 'f']) {
      const whole = await reader.get(path, { dir, limit: '100' })
      const seen: unknown[] = []
      for (let from: string | undefined, page = 0; page < 100; page++) {
        const answer = await reader.get(path, { dir, limit: '1', ...(from !== undefined && { from }) })
        seen.push(...answer.chunk)
        from = answer.end
        if (from === undefined) break
      }
      const ids = (events: unknown[]) => events.map((event) => (event as { event_id: string }).event_id)
      expect(ids(seen)).toEqual(ids(whole.chunk))
    }
  }
  const cost = async (limit: string) => {
    const before = server.ctx.database.cost.statements
    await dan.get(path, { dir: 'b', limit })
    return server.ctx.database.cost.statements - before
  }
  await cost('100')
  expect(await cost('100')).toBeLessThanOrEqual(13)
  expect(await cost('1')).toBeLessThanOrEqual(13)
})
