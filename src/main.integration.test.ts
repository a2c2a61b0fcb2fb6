import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from './storage/database.ts'
import { ended } from './testing/administration.ts'
import { createTestDatabase, TestClient } from './testing/index.ts'
import { type Finished, Program } from './testing/program.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chappe-main-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function run(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Finished> {
  return start(args, env, input).finished
}

function start(args: readonly string[], env: Record<string, string> = {}, input = ''): Program {
  return new Program(args, { CHAPPE_DATA_DIR: folder, CHAPPE_PORT: '0', CHAPPE_SERVER_NAMES: 'a.test', ...env }, input)
}

async function logIn(url: string, user: string, password: string): Promise<TestClient> {
  const body = JSON.stringify({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password })
  const response = await fetch(`${url}/_matrix/client/v3/login`, { method: 'POST', body })
  return new TestClient(url, await response.json())
}

describe('with the embedded database', () => {
  test('it starts, gets its first administrator, is killed, starts again and ends cleanly', async () => {
    const first = start(['start'])
    const url = await first.url()
    expect(first.stdout).toContain('npm run chappe -- create-user --admin NAME')
    expect(await run(['create-user', '--admin', 'alice'], {}, 'a long password\n')).toMatchObject({
      code: 0,
      stdout: 'Created the administrator @alice:a.test\n',
    })
    const alice = await logIn(url, 'alice', 'a long password')
    await first.end('SIGKILL')

    const second = start(['start'])
    const again = new TestClient(await second.url(), {
      user_id: alice.userId,
      device_id: alice.deviceId,
      access_token: alice.accessToken,
    })
    expect((await again.get('/account/whoami')).user_id).toBe('@alice:a.test')
    const { code, stderr } = await second.end('SIGTERM')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  }, 60_000)

  test('commands work without a server, and a name is given once', async () => {
    expect(await run(['migrate'])).toMatchObject({ code: 0 })
    expect(await run(['create-user', 'bob', '--password', 'a long password'])).toMatchObject({ code: 0 })
    expect(await run(['create-user', 'bob', '--password', 'a long password'])).toMatchObject({
      code: 1,
      stderr: 'chappe: This user name is taken\n',
    })
    expect(await run(['set-password', '@bob:a.test', '--password', 'another password'])).toMatchObject({ code: 0 })
    expect(await run(['set-password', 'carol', '--password', 'another password'])).toMatchObject({
      code: 1,
      stderr: 'chappe: there is no user @carol:a.test\n',
    })
    expect(await run(['start'], { CHAPPE_SERVER_NAMES: 'b.test' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The database belongs to a.test'),
    })
  }, 60_000)
})

describe('with a database of its own', () => {
  test('npm start takes a configuration, and hands a signal on, so that the server ends cleanly', async () => {
    await using database = await createTestDatabase()
    const file = join(folder, 'config.yaml')
    writeFileSync(file, `server_names: [a.test]\nport: 0\ndata_dir: ${folder}\n`)
    const env = { CHAPPE_DATABASE_URL: database.url, CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true' }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const program = new Program(['start', '--', '--config', file], env, '', ['npm'])
      const url = await program.url()
      expect((await program.end(signal)).code).toBe(0)
      await expect(fetch(`${url}/_matrix/client/versions`)).rejects.toThrow('fetch failed')
    }
  })

  test('two processes share it, and the second on a port is refused', async () => {
    await using database = await createTestDatabase()
    const env = { CHAPPE_DATABASE_URL: database.url, CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true' }
    const programs = [start([], env), start([], env)]
    const [one, two] = (await Promise.all(programs.map((program) => program.url()))) as [string, string]
    await run(['create-user', 'alice', '--password', 'a long password'], env)
    const alice = await logIn(two, 'alice', 'a long password')
    expect(alice.userId).toBe('@alice:a.test')
    expect((await alice.attempt('get', '/_matrix/client/v1/admin/lock/@bob:a.test')).status).toBe(403)
    const exported = await run(['audit', 'export'], env)
    expect(exported.code).toBe(0)
    const [made, entry, ...rest] = exported.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(made).toMatchObject({
      actor: null,
      address: 'command line',
      operation: 'create-user',
      target: '@alice:a.test',
    })
    expect(entry).toMatchObject({ actor: '@alice:a.test', status: 403, errcode: 'M_FORBIDDEN', details: null })
    expect(rest).toEqual([])
    const port = new URL(one).port
    expect(await run(['start'], { ...env, CHAPPE_PORT: port })).toMatchObject({
      code: 1,
      stderr: `chappe: port ${port} of 127.0.0.1 is taken by another program\n`,
    })
    for (const program of programs) expect((await program.end('SIGINT')).code).toBe(0)
  }, 60_000)

  test('a deletion that is killed half way is finished by the next process', async () => {
    await using database = await createTestDatabase()
    const env = {
      CHAPPE_DATABASE_URL: database.url,
      CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
      CHAPPE_ADMIN_ON_CLIENT_LISTENER: 'true',
    }
    const first = start([], env)
    const url = await first.url()
    await run(['create-user', 'alice', '--admin', '--password', 'a long password'], env)
    const alice = await logIn(url, 'alice', 'a long password')
    const room = await alice.createRoom({ name: 'Hall' })
    const opened = await openDatabase({ url: database.url })
    try {
      const ask = <Row>(text: string) => opened.transaction((query) => query<Row>(text, []))
      await ask(
        `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return old; end $$`,
      )
      await ask('create trigger slow before delete on events for each row execute function slow()')
      const { delete_id: job } = await alice.delete(`/_synapse/admin/v2/rooms/${encodeURIComponent(room)}`, {})
      const retired = async () => (await ask(`select room from rooms where room_id like 'purged %'`)).length
      await expect.poll(retired, { timeout: 20_000 }).toBe(1)
      await first.end('SIGKILL')
      expect((await ask('select event_nid from events')).length).toBeGreaterThan(5)
      await ask('drop trigger slow on events')

      const second = start([], env)
      const again = new TestClient(await second.url(), { user_id: alice.userId, access_token: alice.accessToken })
      expect(await ended(again, `/_synapse/admin/v2/rooms/delete_status/${job}`)).toMatchObject({
        status: 'complete',
        shutdown_room: { kicked_users: [alice.userId] },
      })
      expect(await ask('select event_nid from events')).toEqual([])
      expect(await ask('select room_id from blocked_rooms')).toEqual([])
      expect((await second.end('SIGTERM')).code).toBe(0)
    } finally {
      await opened.close()
    }
  }, 60_000)

  test('without the permission it refuses a database that can lose messages', async () => {
    await using database = await createTestDatabase()
    expect(await run(['start'], { CHAPPE_DATABASE_URL: database.url })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^chappe: PostgreSQL runs with fsync off[^\n]*\n$/),
    })
  })

  test('one that is not there is said in a sentence, without its password', async () => {
    const answer = await run(['start'], { CHAPPE_DATABASE_URL: 'postgresql://me:secret@127.0.0.1:1/x' })
    expect(answer).toMatchObject({ code: 1, stderr: expect.stringMatching(/^chappe: database.url: [^\n]*\n$/) })
    expect(answer.stderr).not.toContain('secret')
  })
})

describe('errors are a sentence and an exit code', () => {
  test('of the command line', async () => {
    expect(await run(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('Commands:'), stderr: '' })
    expect(await run(['frobnicate'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/^chappe: [^\n]*\n$/) })
  })

  test('of the configuration', async () => {
    const file = join(folder, 'config.yaml')
    writeFileSync(file, 'colour: blue\nport: high\n')
    expect(await run(['check-config', '--config', file], { CHAPPE_PORT: 'x' })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'chappe: colour: is not a key of this configuration\nchappe: port: expected integer\n',
    })
    expect(await run(['check-config'])).toMatchObject({ code: 0, stdout: expect.stringContaining('a.test') })
  })

  test('of the signing keys', async () => {
    const file = join(folder, 'new.key')
    expect(await run(['generate-signing-key', file])).toMatchObject({ code: 0, stderr: '' })
    expect(await run(['generate-signing-key', file])).toMatchObject({ code: 1 })
    expect((await run(['start'], { CHAPPE_PORT: '99999' })).code).toBe(1)
  })
})
