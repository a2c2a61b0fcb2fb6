import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { oneTimeKeys } from '../../keys/fixtures.ts'
import { startTestServer, TestClient, type TestServer } from '../../testing/index.ts'

const main = join(import.meta.dirname, '..', '..', '..', 'chappe.js')

/** A further process of a deployment, to be killed. */
async function startProgram(server: TestServer) {
  const child = spawn(process.execPath, [main, 'start'], {
    env: {
      PATH: process.env.PATH,
      CHAPPE_DATA_DIR: server.tree.data_dir as string,
      CHAPPE_DATABASE_URL: server.database.url,
      CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
      CHAPPE_PORT: '0',
      CHAPPE_SERVER_NAMES: 'a.test',
      CHAPPE_RATE_LIMITS: 'off',
      CHAPPE_LOG_LEVEL: 'silent',
    },
  })
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk
      const match = /at (http:\S+)/.exec(output)
      if (match !== null) resolve(match[1]!)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('close', () => reject(new Error(`It ended: ${output}`)))
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return { url, kill }
}

test('a process killed in the middle of claims has given out no key that is given out again', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const keys = oneTimeKeys(bob, 400)
  await bob.post('/keys/upload', { one_time_keys: keys })
  const body = { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } }
  const given: string[] = []
  const claim = async (client: TestClient): Promise<boolean> => {
    const answer = await client.post('/keys/claim', body)
    const ids = Object.keys(answer.one_time_keys[bob.userId]?.[bob.deviceId] ?? {})
    given.push(...ids)
    return ids.length > 0
  }
  for (let round = 0; round < 3; round++) {
    const program = await startProgram(server)
    const elsewhere = new TestClient(program.url, {
      user_id: alice.userId,
      device_id: alice.deviceId,
      access_token: alice.accessToken,
    })
    let answered = 0
    const claims = Array.from({ length: 60 }, async () => {
      await claim(elsewhere)
      if (++answered === 20) await program.kill()
    })
    const outcomes = await Promise.allSettled([...claims, ...Array.from({ length: 20 }, () => claim(alice))])
    await program.kill()
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(40)
    // A device whose upload was not answered tries again.
    await bob.post('/keys/upload', { one_time_keys: keys })
  }
  while (await claim(alice));
  expect(new Set(given).size).toBe(given.length)
  const lost = Object.keys(keys).length - given.length
  // Keys whose answer died with its process; more than those under way there cannot be.
  expect(lost).toBeLessThanOrEqual(3 * 40)
}, 60_000)
