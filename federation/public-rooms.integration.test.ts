import { expect, test } from 'vitest'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { pair } from './two-servers.fixtures.ts'

const names = (body: { chunk: { name?: string }[] }) => body.chunk.map(({ name }) => name)

test('the directory of another server: in pages both ways, and searched', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const server = one.ctx.domains.default
  for (const name of ['Galettes', 'Crêpes']) {
    await alice.createRoom({ visibility: 'public', preset: 'public_chat', name })
  }
  const space = { visibility: 'public', preset: 'public_chat', name: 'Space', creation_content: { type: 'm.space' } }
  await alice.createRoom(space)
  await alice.createRoom({ name: 'Private' })
  const all = await bob.get('/publicRooms', { server })
  expect(names(all)).toEqual(['Space', 'Crêpes', 'Galettes'])
  expect([all.total_room_count_estimate, all.chunk[0].room_type, all.next_batch]).toEqual([3, 'm.space', undefined])
  const first = await bob.get('/publicRooms', { server, limit: 2 })
  const second = await bob.get('/publicRooms', { server, limit: 2, since: first.next_batch })
  expect([names(first), names(second)]).toEqual([['Space', 'Crêpes'], ['Galettes']])
  expect(names(await bob.get('/publicRooms', { server, limit: 2, since: second.prev_batch }))).toEqual(names(first))

  const search = async (filter: object) =>
    names((await bob.attempt('post', '/publicRooms', { query: { server }, body: { filter } })).body)
  expect(await search({ generic_search_term: 'CREPES' })).toEqual(['Crêpes'])
  expect(await search({ room_types: ['m.space'] })).toEqual(['Space'])
  expect(await search({ room_types: [null] })).toEqual(['Crêpes', 'Galettes'])
  expect(names(await bob.get('/publicRooms'))).toEqual([])
  const refused = async (query: Record<string, string>) => {
    const { status, body } = await bob.attempt('get', '/publicRooms', { query })
    return [status, body.errcode]
  }
  expect(await refused({ server, since: 'x' })).toEqual([400, 'M_INVALID_PARAM'])
  expect(await refused({ server: 'not a server' })).toEqual([400, 'M_INVALID_PARAM'])
})

test('servers that are not federated with are not asked, and told nothing', async () => {
  await using servers = await pair()
  const { one, alice } = servers
  const server = one.ctx.domains.default
  await alice.createRoom({ visibility: 'public', preset: 'public_chat', name: 'Galettes' })
  await using closed = await startFederatedServer({ deny: [server] })
  const carol = await closed.register('carol')
  expect((await carol.attempt('get', '/publicRooms', { query: { server } })).body.errcode).toBe('M_FORBIDDEN')
  const query = { server: closed.ctx.domains.default }
  expect((await alice.attempt('get', '/publicRooms', { query })).body.errcode).toBe('M_FORBIDDEN')
})
