import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { migrate } from '../src/storage/migrate.ts'
import { startDebianPostgres } from '../src/testing/debian-postgres.ts'
import { Program } from '../src/testing/program.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { sees, seesMembership, via } from './two-servers.fixtures.ts'

const oneTimeKey = (id: string) => ({ [`signed_curve25519:${id}`]: { key: `key ${id}`, signatures: {} } })

async function claimed(server: TestServer, client: { userId: string; deviceId: string }): Promise<string[]> {
  const asker = await server.logIn(client.userId)
  const { one_time_keys: keys } = await asker.post('/_matrix/client/v3/keys/claim', {
    one_time_keys: { [client.userId]: { [client.deviceId]: 'signed_curve25519' } },
  })
  return Object.keys(keys[client.userId]?.[client.deviceId] ?? {})
}

function afterRestore(dataDir: string, url: string, serverName: string) {
  const env = {
    CHAPPE_DATA_DIR: dataDir,
    CHAPPE_DATABASE_URL: url,
    CHAPPE_SERVER_NAMES: serverName,
    CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
  }
  return new Program(['after-restore'], env).finished
}

test('a back-up is restored into an empty database: federation goes on, and no position or key is used twice', async () => {
  await using postgres = await startDebianPostgres()
  await using before = await postgres.createDatabase('before')
  await using after = await postgres.createDatabase('after')
  const folder = mkdtempSync(join(tmpdir(), 'chappe-restored-'))
  const log = pino({ level: 'silent' })
  await migrate({ url: before.url, serverNames: [], allowUnsafeDurability: true, log, now: Date.now() })
  const first = await startFederatedServer({}, { database: before, kept: true })
  await using other = await startFederatedServer()
  const [alice, bob] = [await first.register('alice'), await other.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/_matrix/client/v3/join/${encodeURIComponent(room)}?via=${via(first)}`, {})
  await seesMembership(alice, room, bob.userId, 'join')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'in the back-up' })
  await sees(bob, room, 'in the back-up')
  await alice.post('/_matrix/client/v3/keys/upload', { one_time_keys: { ...oneTimeKey('A'), ...oneTimeKey('B') } })

  const dump = join(folder, 'chappe.dump')
  postgres.run('pg_dump', ['--format=custom', `--file=${dump}`, before.url])
  cpSync(join(first.tree.data_dir as string, 'keys'), join(folder, 'data/keys'), { recursive: true })

  // What is lost here, and known to others.
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'after the back-up' })
  await sees(bob, room, 'after the back-up')
  expect(await claimed(first, alice)).toEqual(['signed_curve25519:A'])
  const { next_batch: since } = await alice.sync()
  const lastPosition = first.ctx.stream.position
  const running = await afterRestore(join(folder, 'data'), before.url, first.ctx.domains.default)
  expect(running).toMatchObject({ code: 1, stderr: expect.stringContaining('a server runs on this database') })
  await first.close()

  postgres.run('pg_restore', ['--exit-on-error', '--no-owner', `--dbname=${after.url}`, dump])
  const name = first.ctx.domains.default
  expect(await afterRestore(join(folder, 'data'), after.url, name)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^The stream goes on at \d+; 2 one-time keys are void/),
  })
  const port = Number(new URL(first.url).port)
  const options = { like: first, port, database: after, dataDir: join(folder, 'data'), kept: true }
  const second = await startFederatedServer({}, options)
  try {
    expect(second.ctx.domains.keyOf(name).keyId).toBe(first.ctx.domains.keyOf(name).keyId)
    expect(second.ctx.stream.position).toBeGreaterThan(lastPosition)
    expect((await second.adopt(alice).get('/account/whoami')).device_id).toBe(alice.deviceId)
    // The device of before has used up its transaction ids.
    const again = await second.logIn('alice')
    expect(await claimed(second, alice)).toEqual([])
    await again.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from the restored' })
    await sees(bob, room, 'from the restored')
    await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'to the restored' })
    await sees(again, room, 'to the restored')
    // With the token of before, what came since is told and nothing is waited for.
    const timeline = (await again.sync({ since })).rooms.join[room].timeline.events
    const bodies = timeline.map(({ content }: { content: { body?: string } }) => content.body)
    expect(bodies).toEqual(expect.arrayContaining(['from the restored', 'to the restored']))
    const { chunk } = await again.get(`/_matrix/client/v3/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b' })
    expect(chunk.map(({ content }: { content: { body?: string } }) => content.body)).toContain('after the back-up')
  } finally {
    await second.close()
    rmSync(folder, { recursive: true, force: true })
    rmSync(first.tree.data_dir as string, { recursive: true, force: true })
  }
}, 120_000)
