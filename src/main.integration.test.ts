import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTestDatabase, TestClient } from './testing/index.ts'

const main = join(import.meta.dirname, 'main.ts')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chappe-main-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

type Finished = { code: number | null; stdout: string; stderr: string }

class Program {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], env: Record<string, string> = {}, input = '') {
    this.child = spawn(process.execPath, [main, ...args], {
      env: { PATH: process.env.PATH, CHAPPE_DATA_DIR: folder, CHAPPE_PORT: '0', CHAPPE_SERVER_NAMES: 'a.test', ...env },
    })
    this.child.stdin!.end(input)
    this.child.stdout!.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.finished = new Promise((resolve) => {
      this.child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** Where it serves, once it does. */
  async url(): Promise<string> {
    for (;;) {
      const match = /at (http:\S+)/.exec(this.stdout)
      if (match !== null) return match[1]!
      const more = new Promise((resolve) => this.child.stdout!.once('data', resolve))
      const ended = await Promise.race([more.then(() => undefined), this.finished])
      if (ended !== undefined) throw new Error(`It ended: ${ended.stderr}`)
    }
  }

  end(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal)
    return this.finished
  }
}

function run(args: readonly string[], env: Record<string, string> = {}, input = ''): Promise<Finished> {
  return new Program(args, env, input).finished
}

async function logIn(url: string, user: string, password: string): Promise<TestClient> {
  const body = JSON.stringify({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password })
  const response = await fetch(`${url}/_matrix/client/v3/login`, { method: 'POST', body })
  return new TestClient(url, await response.json())
}

describe('with the embedded database', () => {
  test('it starts, gets its first administrator, is killed, starts again and ends cleanly', async () => {
    const first = new Program(['start'])
    const url = await first.url()
    expect(first.stdout).toContain('npm run chappe -- create-user --admin NAME')
    expect(await run(['create-user', '--admin', 'alice'], {}, 'a long password\n')).toMatchObject({
      code: 0,
      stdout: 'Created the administrator @alice:a.test\n',
    })
    const alice = await logIn(url, 'alice', 'a long password')
    await first.end('SIGKILL')

    const second = new Program(['start'])
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
  test('two processes share it, and the second on a port is refused', async () => {
    await using database = await createTestDatabase()
    const env = { CHAPPE_DATABASE_URL: database.url, CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true' }
    const programs = [new Program([], env), new Program([], env)]
    const [one, two] = (await Promise.all(programs.map((program) => program.url()))) as [string, string]
    await run(['create-user', 'alice', '--password', 'a long password'], env)
    const alice = await logIn(two, 'alice', 'a long password')
    expect(alice.userId).toBe('@alice:a.test')
    expect((await alice.attempt('get', '/_matrix/client/v1/admin/lock/@bob:a.test')).status).toBe(403)
    const exported = await run(['audit', 'export'], env)
    expect(exported.code).toBe(0)
    const [entry, ...rest] = exported.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(entry).toMatchObject({ actor: '@alice:a.test', status: 403, errcode: 'M_FORBIDDEN', details: null })
    expect(rest).toEqual([])
    const port = new URL(one).port
    expect(await run(['start'], { ...env, CHAPPE_PORT: port })).toMatchObject({
      code: 1,
      stderr: `chappe: port ${port} of 127.0.0.1 is taken by another program\n`,
    })
    for (const program of programs) expect((await program.end('SIGINT')).code).toBe(0)
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
