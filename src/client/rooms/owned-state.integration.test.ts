import { expect, test } from 'vitest'
import { startTestServer, type TestClient } from '../../testing/index.ts'

const type = 'org.example.test'
const levels = { power_level_content_override: { events: { [type]: 0 } } }
const suffix = '_state_key:!@#$1'

test.each(['10', '11'])(
  'whose a state key is, they and who stands above them set (MSC3757, version %s)',
  async (base) => {
    await using server = await startTestServer({ config: { experimental: { msc3757: true } } })
    const [alice, bob, carol] = [
      await server.register('alice'),
      await server.register('bob'),
      await server.register('carol'),
    ]
    const roomVersion = `org.matrix.msc3757.${base}`
    const room = await alice.createRoom({ preset: 'public_chat', room_version: roomVersion, ...levels })
    for (const client of [bob, carol]) await client.join(room)
    const set = async (client: TestClient, stateKey: string): Promise<unknown> => {
      const path = `/rooms/${encodeURIComponent(room)}/state/${type}/${encodeURIComponent(stateKey)}`
      const answer = await client.attempt('put', path, { body: {} })
      return answer.body.errcode ?? answer.status
    }
    expect(await set(bob, bob.userId)).toBe(200)
    expect(await set(bob, bob.userId + suffix)).toBe(200)
    expect(await set(alice, bob.userId + suffix)).toBe(200)
    expect(await set(alice, '@nobody:b.test')).toBe(200)
    expect(await set(bob, 'free')).toBe(200)
    for (const key of [carol.userId, carol.userId + suffix, bob.userId + suffix.slice(1), `@x_${bob.userId}`]) {
      expect(await set(bob, key), key).toBe('M_FORBIDDEN')
    }
    expect(await set(bob, alice.userId)).toBe('M_FORBIDDEN')
    for (const key of ['@oops', `${alice.userId}@x`, `${alice.userId}_${'x'.repeat(256)}`, 'x'.repeat(256)]) {
      expect(await set(alice, key), key).toBe('M_BAD_JSON')
    }
    expect(await set(alice, `${alice.userId}_${'x'.repeat(255)}`)).toBe(200)
    expect(await set(alice, `@${'x'.repeat(511)}`)).toBe('M_TOO_LARGE')
    const { capabilities } = await alice.get('/capabilities')
    expect(capabilities['m.room_versions'].available[roomVersion]).toBe('unstable')
  },
)

test('switched off, there are no such rooms, and what was made before stays', async () => {
  await using on = await startTestServer({ redis: true, config: { experimental: { msc3757: true } } })
  const alice = await on.register('alice')
  const wish = { room_version: 'org.matrix.msc3757.11' }
  const room = await alice.createRoom(wish)
  await using off = await startTestServer({ sharing: on, config: { experimental: { msc3757: false } } })
  const there = off.adopt(alice)
  const refused = await there.attempt('post', '/createRoom', { body: wish })
  expect(refused).toMatchObject({ status: 400, body: { errcode: 'M_UNSUPPORTED_ROOM_VERSION' } })
  const upgrade = { new_version: wish.room_version }
  const path = `/rooms/${encodeURIComponent(await there.createRoom())}/upgrade`
  expect((await there.attempt('post', path, { body: upgrade })).body.errcode).toBe('M_UNSUPPORTED_ROOM_VERSION')
  const { capabilities } = await there.get('/capabilities')
  expect(capabilities['m.room_versions'].available).not.toHaveProperty(wish.room_version)
  await there.sendState(room, type, {}, `${alice.userId}_key`)
})
