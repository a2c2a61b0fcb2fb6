import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigError } from '../config.ts'

/**
 * Makes the folder for data, and those above it, where they are missing.
 *
 * @throws ConfigError where that is not possible.
 */
export function makeDataDir(folder: string): void {
  try {
    makeFolders(resolve(folder))
  } catch (error) {
    throw new ConfigError([`data_dir: ${folder} cannot be made (${(error as NodeJS.ErrnoException).code})`])
  }
}

/** One by one: asked to make all of them, Node tries for ever where a folder that is there takes no others, as `/proc`. */
function makeFolders(folder: string): void {
  if (isFolder(folder)) return
  makeFolders(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    // Another process was faster.
    if (!isFolder(folder)) throw error
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
