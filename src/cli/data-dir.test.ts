import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeDataDir } from './data-dir.ts'

test('the folder for data is made with those above it, or it is said why not', () => {
  const above = mkdtempSync(join(tmpdir(), 'chappe-data-dir-'))
  try {
    const folder = join(above, 'one', 'two')
    makeDataDir(folder)
    makeDataDir(folder)
    expect(existsSync(folder)).toBe(true)
    writeFileSync(join(above, 'file'), '')
    expect(() => makeDataDir(join(above, 'file'))).toThrow(/file cannot be made \(EEXIST\)/)
    expect(() => makeDataDir(join(above, 'file', 'below'))).toThrow(/file\/below cannot be made \(EEXIST\)/)
  } finally {
    rmSync(above, { recursive: true, force: true })
  }
})

test.runIf(existsSync('/proc/self'))('a file system that takes no folders is no reason to hang', () => {
  expect(() => makeDataDir('/proc/chappe/data')).toThrow('data_dir: /proc/chappe/data cannot be made (ENOENT)')
})
