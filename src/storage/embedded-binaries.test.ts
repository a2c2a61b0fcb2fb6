import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { findBinaries, reachableBinaries } from './embedded-binaries.ts'

test('binaries in a closed folder are copied once, with everything they look for beside them', async () => {
  const copies = mkdtempSync(join(tmpdir(), 'chappe-binaries-'))
  try {
    const found = await findBinaries()
    expect(reachableBinaries(found, () => true, copies)).toBe(found)
    const copied = reachableBinaries(found, () => false, copies)
    expect(copied.postgres.startsWith(copies)).toBe(true)
    expect(execFileSync(copied.initdb, ['--version'], { encoding: 'utf8' })).toMatch(/^initdb \(PostgreSQL\)/)
    expect(reachableBinaries(found, () => false, copies)).toEqual(copied)
    expect(readdirSync(copies)).toHaveLength(1)
    // The same in another folder, as every clone has it.
    const clone = join(copies, 'clone', 'package')
    cpSync(join(dirname(found.postgres), '../..'), clone, { recursive: true, verbatimSymlinks: true })
    const cloned = { postgres: join(clone, 'native/bin/postgres'), initdb: join(clone, 'native/bin/initdb') }
    expect(reachableBinaries(cloned, () => false, copies)).toEqual(copied)
  } finally {
    rmSync(copies, { recursive: true, force: true })
  }
})
