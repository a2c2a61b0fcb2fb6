import { expect, test } from 'vitest'
import { createLog } from '../log.ts'
import { createFakeClock } from '../testing/fakes.ts'
import { startTestServer } from '../testing/index.ts'

test('rooms that one user creates in one millisecond are different rooms, and none of them fails to be written first', async () => {
  const lines: string[] = []
  const log = createLog({ log: { level: 'error' } }, { write: (line: string) => void lines.push(line) })
  await using server = await startTestServer({ log, clock: createFakeClock() })
  const alice = await server.register('alice')
  const rooms = await Promise.all(Array.from({ length: 5 }, () => alice.createRoom()))
  expect(new Set(rooms).size).toBe(5)
  expect(lines).toEqual([])
})

test('private rooms are encrypted from the beginning where the operator wants it, as their creator says if they do', async () => {
  await using server = await startTestServer({ config: { rooms: { encrypt_by_default: true } } })
  const alice = await server.register('alice')
  const encryptionOf = async (wish: object) => {
    const room = await alice.createRoom(wish)
    const { body } = await alice.attempt('get', `/rooms/${encodeURIComponent(room)}/state/m.room.encryption/`)
    return body.algorithm
  }
  for (const preset of ['private_chat', 'trusted_private_chat', undefined]) {
    expect(await encryptionOf({ preset })).toBe('m.megolm.v1.aes-sha2')
  }
  expect(await encryptionOf({ preset: 'public_chat' })).toBeUndefined()
  const own = { type: 'm.room.encryption', content: { algorithm: 'm.other' } }
  expect(await encryptionOf({ initial_state: [own] })).toBe('m.other')
})
