import { expect, test } from 'vitest'
import type { RoomId } from '../../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const apart = JSON.stringify({ room: { timeline: { unread_thread_notifications: true } } })

function receipt(client: TestClient, room: RoomId, eventId: string, threadId?: string): Promise<Answer> {
  const path = `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`
  return client.post(path, threadId === undefined ? {} : { thread_id: threadId })
}

test.each(['as everybody', 'otherwise than others'])(
  'receipts for a thread, for the main timeline and for everything each count for what they are for: %s',
  async (who) => {
    await using server = await startTestServer({ config: { experimental: { msc4306: who !== 'as everybody' } } })
    const [alice, bob] = [await server.register('alice'), await server.register('bob')]
    // Threads then notify nobody else, so for Bob each of their messages counts as an exception.
    for (const which of who === 'as everybody' ? [] : ['subscribed', 'unsubscribed']) {
      const rule = `/pushrules/global/postcontent/.io.element.msc4306.rule.${which}_thread`
      await bob.put(`${rule}/enabled`, { enabled: false })
    }
    const room = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(room)
    const { next_batch: since } = await bob.sync()
    const say = async (more: object = {}): Promise<string> =>
      (await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hi', ...more })).event_id
    const toRoot = (type: string) => ({ 'm.relates_to': { rel_type: type, event_id: root } })
    const mention = { 'm.mentions': { user_ids: [bob.userId] } }
    const root = await say()
    const first = await say(toRoot('m.thread'))
    await say({ ...toRoot('m.thread'), ...mention })
    const main = await say(mention)
    await say(toRoot('m.thread'))
    const reference = await say(toRoot('m.reference'))
    const annotates = { 'm.relates_to': { rel_type: 'm.annotation', event_id: reference, key: 'x' } }
    const { event_id: annotation } = await alice.send(room, 'm.room.reaction', annotates)

    /** Notifications and highlights: of everything, of the main timeline, of the thread. */
    const counts = async (from?: string, client = bob): Promise<unknown[]> => {
      const pairOf = (one: Answer | undefined) => one && [one.notification_count, one.highlight_count]
      const at = from === undefined ? {} : { since: from }
      const all = (await client.sync(at)).rooms.join[room]
      const split = (await client.sync({ ...at, filter: apart })).rooms.join[room]
      expect(all).not.toHaveProperty('unread_thread_notifications')
      return [
        pairOf(all.unread_notifications),
        pairOf(split.unread_notifications),
        pairOf(split.unread_thread_notifications?.[root]),
      ]
    }
    const expectCounts = async (expected: unknown[]): Promise<void> => {
      expect(await counts()).toEqual(expected)
      expect(await counts(since)).toEqual(expected)
      // From the database, as from memory.
      await using fresh = await startTestServer({ sharing: server })
      expect(await counts(undefined, fresh.adopt(bob))).toEqual(expected)
    }
    await expectCounts([[6, 2], [3, 1], [3, 1]]) // biome-ignore format: one row of a table
    await receipt(bob, room, root, 'main')
    await expectCounts([[5, 2], [2, 1], [3, 1]]) // biome-ignore format: one row of a table
    await receipt(bob, room, first, root)
    await expectCounts([[4, 2], [2, 1], [2, 1]]) // biome-ignore format: one row of a table
    await receipt(bob, room, main)
    await expectCounts([[2, 0], [1, 0], [1, 0]]) // biome-ignore format: one row of a table
    await receipt(bob, room, annotation, root)
    await expectCounts([[1, 0], [1, 0], undefined]) // biome-ignore format: one row of a table
  },
)
