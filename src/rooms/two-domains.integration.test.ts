import { expect, test } from 'vitest'
import { startTestServer } from '../testing/index.ts'

test('users of two domains meet in one room, each under their own name and key', async () => {
  await using server = await startTestServer({ serverNames: ['interior.test', 'finance.test'] })
  const alice = await server.register('alice', { domain: 'interior.test' })
  const bob = await server.register('bob', { domain: 'finance.test' })
  // The same name on the other domain is somebody else.
  const other = await server.register('alice', { domain: 'finance.test' })
  expect([alice.userId, bob.userId, other.userId]).toEqual([
    '@alice:interior.test',
    '@bob:finance.test',
    '@alice:finance.test',
  ])
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'budget' })
  await bob.join('#budget:interior.test')
  const since = (await alice.get('/sync')).next_batch
  const { event_id: eventId } = await bob.send(room, 'm.room.message', { body: 'from finance' })
  const { rooms } = await alice.get('/sync', { since, timeout: 5000 })
  expect(rooms.join[room].timeline.events).toMatchObject([{ event_id: eventId, sender: bob.userId }])

  const [stored] = await server.ctx.events.byIds([eventId], { edges: true })
  expect(Object.keys(stored!.event.pdu.signatures)).toEqual(['finance.test'])
  const keyId = server.ctx.domains.keyOf('finance.test').keyId
  expect(Object.keys(stored!.event.pdu.signatures['finance.test']!)).toEqual([keyId])
  const { body: keys } = await server.request('get', '/_matrix/key/v2/server', {
    headers: { 'x-forwarded-host': 'finance.test' },
  })
  expect(keys).toMatchObject({ server_name: 'finance.test', verify_keys: { [keyId]: {} } })

  // An alias belongs to the domain of who makes it.
  const path = `/directory/room/${encodeURIComponent('#money:interior.test')}`
  expect((await bob.attempt('put', path, { body: { room_id: room } })).body.errcode).toBe('M_INVALID_PARAM')
})
