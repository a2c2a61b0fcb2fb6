import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../testing/database.ts'

/** A column as `tables.ts` writes it: `number | null`, `Generated<string[]>`. */
type Columns = { [column: string]: string }

/** Tables that no query of ours goes through kysely to. */
const unlisted = new Set(['migrations', 'deployment'])

const typeNames: { readonly [postgres: string]: string } = {
  int2: 'number',
  int4: 'number',
  int8: 'number',
  float8: 'number',
  bool: 'boolean',
  text: 'string',
  bytea: 'Buffer',
  tsvector: 'string',
}

function declared(): Map<string, Columns> {
  const text = readFileSync(join(import.meta.dirname, 'tables.ts'), 'utf8')
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  const tables = new Map<string, Columns>()
  for (const [, table, body] of code.matchAll(/^ {2}(\w+): \{([^}]*)\}/gm)) {
    const columns = body!.split(/[;\n]/).flatMap((line) => {
      const match = /^\s*(\w+): (.+?)\s*$/.exec(line)
      return match === null ? [] : [[match[1]!, match[2]!.replace('GeneratedAlways', 'Generated')] as const]
    })
    tables.set(table!, Object.fromEntries(columns))
  }
  return tables
}

async function migrated(): Promise<Map<string, Columns>> {
  await using database = await createTestDatabase()
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query(
    `select table_name, column_name, udt_name, is_nullable = 'YES' as is_nullable,
            column_default is not null or is_identity = 'YES' as is_generated
     from information_schema.columns where table_schema = 'public' order by table_name, ordinal_position`,
  )
  await client.end()
  const tables = new Map<string, Columns>()
  for (const row of rows) {
    const isArray = row.udt_name.startsWith('_')
    const type = `${typeNames[row.udt_name.replace(/^_/, '')] ?? row.udt_name}${isArray ? '[]' : ''}`
    const nullable = row.is_nullable ? `${type} | null` : type
    const columns = tables.get(row.table_name) ?? {}
    columns[row.column_name] = row.is_generated ? `Generated<${nullable}>` : nullable
    tables.set(row.table_name, columns)
  }
  return tables
}

test('tables.ts says what the migrations made', async () => {
  const inDatabase = await migrated()
  for (const name of unlisted) inDatabase.delete(name)
  const inCode = declared()
  expect(inCode.size).toBeGreaterThan(20)
  const order = (tables: Map<string, Columns>) => Object.fromEntries([...tables].sort(([a], [b]) => (a < b ? -1 : 1)))
  expect(order(inCode)).toEqual(order(inDatabase))
})
