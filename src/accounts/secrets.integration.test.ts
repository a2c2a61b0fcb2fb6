import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { expect, inject, test } from 'vitest'
import { createLog } from '../log.ts'
import { passwordOf, startTestServer, type TestServer } from '../testing/index.ts'

/** Everything that the database of a server holds, as text. */
async function databaseOf({ ctx }: TestServer): Promise<string> {
  const { db } = ctx.database
  const { rows: tables } = await sql<{ name: string }>`
    select tablename as name from pg_tables where schemaname = 'public'`.execute(db)
  const texts: string[] = []
  for (const { name } of tables) {
    const { rows } = await sql<{ row: string }>`select t::text as row from ${sql.table(name)} t`.execute(db)
    texts.push(...rows.map(({ row }) => row))
  }
  return texts.join('\n')
}

/** Everything that Redis holds for a server. */
async function redisOf({ ctx }: TestServer): Promise<string> {
  const redis = new Redis(inject('redisUrl'))
  try {
    const keys = await redis.keys(`${ctx.config.redis.prefix}*`)
    const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)))
    return [...keys, ...values.map(String)].join('\n')
  } finally {
    redis.disconnect()
  }
}

test('A07: passwords and tokens are nowhere in the database, in Redis or in the log', async () => {
  const lines: string[] = []
  const log = createLog({ log: { level: 'trace' } }, { write: (line: string) => void lines.push(line) })
  await using server = await startTestServer({
    redis: true,
    log,
    config: { log: { requests: true, addresses: 'full' }, rate_limits: { enabled: true } },
  })
  const alice = await server.register('alice')
  const next = 'quite another secret'
  const { session } = (await alice.attempt('post', '/account/password', { body: { new_password: next } })).body
  const wrong = { type: 'm.login.password', session, user: 'alice', password: 'a wrong secret' }
  await alice.attempt('post', '/account/password', { body: { new_password: next, auth: wrong } })
  const right = { ...wrong, password: passwordOf('alice') }
  await alice.post('/account/password', { new_password: next, auth: right })
  const again = await server.logIn('alice', { password: next })
  const places = { database: await databaseOf(server), redis: await redisOf(server), log: lines.join('\n') }
  const secrets = [passwordOf('alice'), next, wrong.password, alice.accessToken!, again.accessToken!]
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, place).toBeGreaterThan(0)
    for (const secret of secrets) expect(text, place).not.toContain(secret)
  }
})

test('A02: a user who does not exist is refused no sooner than one who does', async () => {
  const passwords = { argon2_memory_kib: 19_456, argon2_passes: 2 }
  await using server = await startTestServer({ config: { passwords } })
  await server.register('alice')
  const timeOf = async (user: string): Promise<number> => {
    const identifier = { type: 'm.id.user', user }
    const begun = performance.now()
    const body = { type: 'm.login.password', identifier, password: 'a wrong secret' }
    expect((await server.request('post', '/_matrix/client/v3/login', { body })).status).toBe(403)
    return performance.now() - begun
  }
  // In turn, so that whatever else the machine does slows both.
  const [known, unknown]: [number[], number[]] = [[], []]
  for (let time = 0; time < 10; time++) {
    known.push(await timeOf('alice'))
    unknown.push(await timeOf('nobody'))
  }
  const median = (times: number[]): number => times.sort((one, other) => one - other)[5]!
  // Without a hash to compute it would be a tenth of that.
  expect(median(unknown)).toBeGreaterThan(median(known) / 3)
})
