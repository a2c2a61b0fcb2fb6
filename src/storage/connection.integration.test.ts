import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../testing/database.ts'
import { Connection, type Grouped } from './connection.ts'

async function connect(url: string) {
  const client = new Connection(url)
  await client.connect()
  await client.query('create temporary table kept (number int primary key, word text, bytes bytea, flag bool)')
  return {
    client,
    rows: async () => (await client.query('select * from kept order by number')).rows,
    [Symbol.asyncDispose]: () => client.end(),
  }
}

const insert = (numbers: number[], words: (string | null)[] = [], bytes: Buffer[] = [], flags: boolean[] = []) =>
  ({
    name: 'insert kept',
    text: `insert into kept (number, word, bytes, flag)
           select * from unnest($1::int[], $2::text[], $3::bytea[], $4::bool[])`,
    values: [numbers, words, bytes, flags],
  }) satisfies Grouped

test('a group is one transaction: what failed last leaves nothing of what went well before', async () => {
  await using database = await createTestDatabase()
  await using connection = await connect(database.url)
  const { client, rows } = connection
  await client.group([insert([1], ['first'])])
  const divide = { name: 'divide', text: 'select 1 / $1::int', values: [0] }
  const never = { name: 'never', text: 'delete from kept where number = $1', values: [1] }
  await expect(client.group([insert([2]), divide, never])).rejects.toMatchObject({ code: '22012' })
  expect((await rows()).map(({ number }) => number)).toEqual([1])
  // What was never prepared is still known to be unknown.
  await client.group([{ ...divide, values: [1] }, insert([3]), never])
  expect((await rows()).map(({ number }) => number)).toEqual([3])
})

test('answers before and behind a group are those of their own statements', async () => {
  await using database = await createTestDatabase()
  await using connection = await connect(database.url)
  const { client } = connection
  const select = (number: number) => client.query({ name: 'one', text: 'select $1::int as number', values: [number] })
  const [before, failed, behind, , last] = await Promise.all([
    select(1),
    client.group([insert([1]), insert([1])]).catch((error: { code: string }) => error.code),
    select(2),
    client.group([insert([1])]),
    client.query('select number from kept'),
  ])
  expect([before.rows, failed, behind.rows, last.rows]).toEqual([
    [{ number: 1 }],
    '23505',
    [{ number: 2 }],
    [{ number: 1 }],
  ])
})

test('a group behind one that failed before its statements were prepared does not rely on them', async () => {
  await using database = await createTestDatabase()
  await using connection = await connect(database.url)
  const { client, rows } = connection
  const divide = { name: 'divide', text: 'select 1 / $1::int', values: [0] }
  const [failed] = await Promise.allSettled([client.group([divide, insert([1])]), client.group([insert([2])])])
  expect(failed.status).toBe('rejected')
  expect((await rows()).map(({ number }) => number)).toEqual([2])
})

test('inside a transaction a group is part of it', async () => {
  await using database = await createTestDatabase()
  await using connection = await connect(database.url)
  const { client, rows } = connection
  await Promise.all([client.query('begin'), client.group([insert([1])]), client.query('rollback')])
  expect(await rows()).toEqual([])
})

test('every text, number and byte comes back as it was given', async () => {
  await using database = await createTestDatabase()
  await using connection = await connect(database.url)
  const { client, rows } = connection
  const word = fc.oneof(
    fc.constantFrom(null, '', 'NULL', 'null', '"', '\\', '\\"', '{}', 'a,b', ' a ', '\n', '\\x00', '$1', 'é😀'),
    fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0') && text.isWellFormed()),
  )
  const row = fc.record({ word, bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)), flag: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1 }), async (given) => {
      await client.query('delete from kept')
      const numbered = given.map((values, number) => ({ number, ...values }))
      await client.group([
        insert(
          numbered.map(({ number }) => number),
          numbered.map((one) => one.word),
          numbered.map(({ bytes }) => bytes),
          numbered.map(({ flag }) => flag),
        ),
      ])
      expect(await rows()).toEqual(numbered)
    }),
    { numRuns: 100 },
  )
})
