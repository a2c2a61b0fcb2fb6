import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  } finally {
    rmSync(copies, { recursive: true, force: true })
  }
})
