import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

const prefix = 'org.matrix.msc3874.'

test('messages are filtered by how they relate to others (MSC3874)', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const { next_batch: from } = await alice.sync()
  const ids = new Map<string, string>()
  const say = async (name: string, relation: object = {}): Promise<void> => {
    const content = { msgtype: 'm.text', body: name, ...relation }
    ids.set((await alice.send(room, 'm.room.message', content)).event_id, name)
  }
  await say('root')
  const [root] = ids.keys()
  for (const name of ['m.thread', 'm.reference']) {
    await say(name, { 'm.relates_to': { rel_type: name, event_id: root } })
  }
  await say('broken', { 'm.relates_to': 'x' })
  const names = async (filter: object): Promise<unknown[]> => {
    const query = { dir: 'f', from, filter: JSON.stringify(filter) }
    const { chunk } = await alice.get(`/rooms/${encodeURIComponent(room)}/messages`, query)
    return chunk.map((event: { event_id: string }) => ids.get(event.event_id))
  }
  const [all, none] = [`${prefix}rel_types`, `${prefix}not_rel_types`]
  expect(await names({ [all]: ['m.thread'] })).toEqual(['m.thread'])
  expect(await names({ [all]: ['m.thread', 'm.reference'] })).toEqual(['m.thread', 'm.reference'])
  expect(await names({ [none]: ['m.thread'] })).toEqual(['root', 'm.reference', 'broken'])
  expect(await names({ [none]: ['m.thread', 'm.reference'] })).toEqual(['root', 'broken'])
  expect(await names({ [all]: ['m.thread', 'm.reference'], [none]: ['m.thread'] })).toEqual(['m.reference'])
  expect(await names({ [all]: [] })).toEqual([])
  expect(await names({ [none]: ['m.thread'], types: ['m.room.name'] })).toEqual([])
  const query = { dir: 'f', filter: JSON.stringify({ [all]: 'm.thread' }) }
  const refused = await alice.attempt('get', `/rooms/${encodeURIComponent(room)}/messages`, { query })
  expect(refused).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } })
})

test('switched off, such a filter says nothing', async () => {
  await using server = await startTestServer({ config: { experimental: { msc3874: false } } })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const query = { dir: 'b', limit: 100, filter: JSON.stringify({ [`${prefix}rel_types`]: ['m.thread'] }) }
  const { chunk } = await alice.get(`/rooms/${encodeURIComponent(room)}/messages`, query)
  expect(chunk).not.toHaveLength(0)
})
