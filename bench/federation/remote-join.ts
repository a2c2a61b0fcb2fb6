import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createFederation } from '../../federation/index.ts'
import { createAccount } from '../../src/accounts/create-account.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { createRoomAsAsked } from '../../src/rooms/create-room-as-asked.ts'
import { joinRoom } from '../../src/rooms/join-room.ts'
import { startServer } from '../../src/server.ts'
import { openBench } from '../engine/deployment.ts'
import { startProgram } from '../servers/program.ts'

/**
 * What it takes to come into a large room of another server: until the join is answered, until a message is sent, until all
 * members are known; the memory that the joining server took at most, its processor time without that of the database, the longest
 * pause of its event loop, and what its database has grown by.
 *
 *   node bench/federation/remote-join.ts [MEMBERS]
 */
const members = Number(process.argv[2] ?? 10_000)
const [homePort, awayPort, adminPort] = [18_448, 18_449, 18_450]
const awayFolder = mkdtempSync(join(tmpdir(), 'chappe-remote-join-'))

const environment = (port: number, other: number): Record<string, string> => ({
  CHAPPE_PORT: String(port),
  CHAPPE_SERVER_NAMES: `127.0.0.1:${port}`,
  CHAPPE_FEDERATION_ALLOW: `127.0.0.1:${other}`,
  CHAPPE_FEDERATION_ALLOW_ADDRESSES: '127.0.0.0/8',
  CHAPPE_FEDERATION_INSECURE_HTTP: 'true',
  CHAPPE_LOG_LEVEL: 'error',
  CHAPPE_RATE_LIMITS: 'off',
  CHAPPE_REGISTRATION: 'open',
})

const home = await openBench('remote-join', environment(homePort, awayPort))
const { ctx } = home
const federation = createFederation(ctx)!
const server = await startServer(ctx, { port: homePort, host: '127.0.0.1', also: federation.endpoints })

async function account(name: string): Promise<{ userId: UserId; userNid: number }> {
  const userId: UserId = `@${name}:127.0.0.1:${homePort}`
  const { userNid } = await createAccount(ctx, { userId } as never)
  return { userId, userNid }
}

const owner = { ...(await account('owner')), domain: `127.0.0.1:${homePort}`, isAdmin: false }
const roomId = await createRoomAsAsked(ctx, owner as never, { preset: 'public_chat', name: 'Large' })
for (let first = 1; first < members; first += 200) {
  const names = Array.from({ length: Math.min(200, members - first) }, (_, index) => `member${first + index}`)
  const users = await Promise.all(names.map(account))
  await Promise.all(users.map(({ userId }) => joinRoom(ctx, roomId, userId)))
}
console.log(`a room of ${members} members`)

const child = startProgram({
  ...environment(awayPort, homePort),
  CHAPPE_DATA_DIR: awayFolder,
  CHAPPE_ADMIN_PORT: String(adminPort),
})
const url = `http://127.0.0.1:${awayPort}/_matrix/client/v3`
while (!(await fetch(`${url}/login`).catch(() => undefined))?.ok) {
  await new Promise((resolve) => setTimeout(resolve, 50))
}

async function ask(method: string, path: string, token?: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await fetch(url + path, {
    method,
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`)
  return JSON.parse(text)
}

const peak = (): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

/** Seconds of processor time so far. */
const processor = (): number => {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Seconds that the event loop was late at most since the last look. */
async function longestPause(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/_chappe/metrics`)).text()
  return Number(/nodejs_eventloop_lag_seconds\{quantile="1"\} (\S+)/.exec(text)?.[1])
}

/** Bytes on disk, with its write-ahead log left out. */
const databaseSize = (folder = join(awayFolder, 'postgres', 'data', 'base')): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

/** What lies where: its bytes for a member. */
async function printRelations(): Promise<void> {
  const host = join(awayFolder, 'postgres', 'socket')
  const database = new pg.Client({ host, port: 5432, database: 'chappe', user: 'chappe' })
  await database.connect()
  const { rows } = await database.query<{ relname: string; bytes: number }>(
    `select relname, pg_relation_size(oid)::float8 as bytes from pg_class
     where pg_relation_size(oid) > $1::int8 order by bytes desc`,
    [10 * members],
  )
  for (const { relname, bytes } of rows) console.log(`    ${relname}: ${(bytes / members).toFixed(0)}`)
  await database.end()
}

try {
  const session = await ask('POST', '/register', undefined, {
    username: 'visitor',
    password: 'password of a visitor',
    auth: { type: 'm.login.dummy' },
  })
  const token = session.access_token as string
  const before = peak()
  const [started, processorBefore, sizeBefore] = [performance.now(), processor(), databaseSize()]
  await longestPause()
  const since = (label: string): void => {
    const [seconds, busy] = [(performance.now() - started) / 1000, processor() - processorBefore]
    console.log(
      `  ${label}: ${seconds.toFixed(2)} s, ${busy.toFixed(2)} s of processor, at most ${peak().toFixed(0)} MiB`,
    )
  }
  console.log(`  before the join: at most ${before.toFixed(0)} MiB`)
  await ask('POST', `/join/${encodeURIComponent(roomId)}?via=127.0.0.1:${homePort}`, token, {})
  since('the join is answered')
  await ask('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, token, {
    msgtype: 'm.text',
    body: 'hello',
  })
  since('a message is sent')
  const { joined } = await ask('GET', `/rooms/${encodeURIComponent(roomId)}/joined_members`, token)
  since(`${Object.keys(joined as object).length} members are known`)
  console.log(`  the longest pause of the event loop: ${(1000 * (await longestPause())).toFixed(0)} ms`)
  console.log(`  bytes of database for a member: ${((databaseSize() - sizeBefore) / members).toFixed(0)}`)
  await printRelations()
} finally {
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
  await server.close()
  await federation.close()
  await home.close()
  rmSync(awayFolder, { recursive: true, force: true })
}
