import { expect, test } from 'vitest'
import type { Answer, TestClient } from '../src/testing/index.ts'
import { pair, synced, via } from './two-servers.fixtures.ts'

async function found(client: TestClient, term: string): Promise<Answer[]> {
  return (await client.post('/user_directory/search', { search_term: term })).results
}

function rename(client: TestClient, displayname: string) {
  return client.put(`/profile/${encodeURIComponent(client.userId)}/displayname`, { displayname })
}

const called = (client: TestClient, room: string, userId: string, name: string | undefined) =>
  synced(client, (sync) => {
    const joined = sync.rooms?.join?.[room]
    const events: Answer[] = [...(joined?.state?.events ?? []), ...(joined?.timeline?.events ?? [])]
    return events.find(({ state_key: key, content }) => key === userId && content.displayname === name)
  })

test('users of other servers are found by what they are called where one may see them', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const carol = await one.register('carol')
  await rename(bob, 'Hélène Brun')
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await called(alice, room, bob.userId, 'Hélène Brun')
  expect(await found(alice, 'helene')).toEqual([{ user_id: bob.userId, display_name: 'Hélène Brun' }])
  expect(await found(alice, 'BRUN hel')).toHaveLength(1)
  expect(await found(carol, 'helene')).toEqual([])

  await rename(bob, 'Claude')
  await called(alice, room, bob.userId, 'Claude')
  expect(await found(alice, 'helene')).toEqual([])
  expect(await found(alice, 'claude')).toHaveLength(1)

  // In a public room they may be found by everybody, by what they are called there and nowhere else.
  const open = await bob.createRoom({ preset: 'public_chat' })
  await carol.post(`/join/${encodeURIComponent(open)}?via=${via(other)}`)
  const member = { membership: 'join', displayname: 'Elsewhere' }
  await bob.sendState(room, 'm.room.member', member, bob.userId)
  await called(alice, room, bob.userId, 'Elsewhere')
  const dave = await one.register('dave')
  expect(await found(dave, 'elsewhere')).toEqual([])
  expect(await found(dave, 'claude')).toEqual([{ user_id: bob.userId, display_name: 'Claude' }])
  expect((await found(alice, 'elsewhere')).map((user) => user.user_id)).toEqual([bob.userId])

  const { event_id: current } = await bob.sendState(
    room,
    'm.room.member',
    { ...member, displayname: 'Regret' },
    bob.userId,
  )
  await called(alice, room, bob.userId, 'Regret')
  const redact = `/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(current)}/t1`
  await bob.put(redact)
  await synced(alice, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find(({ type }: Answer) => type === 'm.room.redaction'),
  )
  expect(await found(alice, 'regret')).toEqual([])
  await bob.leave(room)
  await bob.leave(open)
  await synced(carol, (sync) =>
    (sync.rooms?.join?.[open]?.timeline?.events ?? []).find(({ content }: Answer) => content.membership === 'leave'),
  )
  for (const client of [alice, carol, dave]) expect(await found(client, 'claude')).toEqual([])
})
