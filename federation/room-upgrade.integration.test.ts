import { expect, test } from 'vitest'
import type { TestClient } from '../src/testing/test-client.ts'
import { pair, sees, synced, via } from './two-servers.fixtures.ts'

async function mute(client: TestClient, room: string): Promise<void> {
  await client.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: ['dont_notify'] })
}

async function roomRules(client: TestClient): Promise<string[]> {
  return (await client.get('/pushrules/')).global.room.map((rule: { rule_id: string }) => rule.rule_id)
}

test.each(['by the server', 'by hand'])(
  'who muted a room finds the one that replaces it muted: upgraded %s',
  async (how) => {
    await using servers = await pair()
    const { one, other, alice, bob } = servers
    const [anna, bert] = [await one.register('anna'), await other.register('bert')]
    const room = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    const join = (client: TestClient, to: string) => client.post(`/join/${encodeURIComponent(to)}?via=${via(one)}`)
    for (const client of [anna, bob, bert]) await join(client, room)
    const all = [alice, anna, bob, bert]
    for (const client of all) await mute(client, room)
    const since = (await bert.sync()).next_batch
    const upgrade = async () =>
      how === 'by the server'
        ? (await alice.post(`/rooms/${encodeURIComponent(room)}/upgrade`, { new_version: '11' })).replacement_room
        : alice.createRoom({
            preset: 'public_chat',
            room_version: '11',
            creation_content: { predecessor: { room_id: room } },
          })
    const replacement = await upgrade()
    if (how === 'by hand') {
      await alice.sendState(room, 'm.room.tombstone', { body: 'gone', replacement_room: replacement })
    }
    await sees(bob, room, how === 'by hand' ? 'gone' : 'This room has been replaced')
    for (const client of [anna, bob, bert]) await join(client, replacement)
    for (const client of all) expect(await roomRules(client)).toEqual([room, replacement])
    const told = (await bert.sync({ since })).account_data.events.find(
      ({ type }: { type: string }) => type === 'm.push_rules',
    )
    expect(JSON.stringify(told)).toContain(replacement)
    // Who comes back has it as they left it.
    await bert.delete(`/pushrules/global/room/${encodeURIComponent(replacement)}`)
    await bert.leave(replacement)
    await join(bert, replacement)
    expect(await roomRules(bert)).toEqual([room])
    expect(await synced(bob, (sync) => sync.rooms?.join?.[replacement])).toBeDefined()
  },
)
