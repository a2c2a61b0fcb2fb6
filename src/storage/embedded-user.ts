import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Binaries } from './embedded-binaries.ts'

/** How PostgreSQL is run: as ourselves, or, when we are root, as somebody else, as it refuses to run as root. */
export type DatabaseUser = {
  readonly ids: { readonly uid: number; readonly gid: number } | undefined
  /** A program that becomes the user in our stead, and its arguments. */
  readonly command: string | undefined
  readonly prefix: readonly string[]
}

const userName = 'chappe-postgres'
const setpriv = '/usr/bin/setpriv'

/**
 * @throws Error with one sentence when there is nobody to run as, or the user could not reach the files.
 */
export function userForPostgres(folder: string, binaries: Binaries): DatabaseUser {
  if (process.getuid?.() !== 0) return { ids: undefined, command: undefined, prefix: [] }
  const ids = idsOf(userName) ?? createUser() ?? idsOf('postgres') ?? idsOf('nobody')
  if (ids === undefined) {
    throw new Error('PostgreSQL does not run as root and no user could be made for it: run the server as another user')
  }
  if (isReachable(dirname(folder)) && isReachable(dirname(binaries.postgres))) {
    return { ids, command: undefined, prefix: [] }
  }
  // Under /root, say: a capability lets PostgreSQL pass through folders that are closed to its user.
  if (existsSync(setpriv)) {
    const capability = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    const user = [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--clear-groups']
    return { ids, command: setpriv, prefix: [...user, ...capability, '--'] }
  }
  throw new Error(`PostgreSQL does not run as root and its user cannot reach ${folder}: choose another data_dir`)
}

function idsOf(name: string): { uid: number; gid: number } | undefined {
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const [user, , uid, gid] = line.split(':')
      if (user === name) return { uid: Number(uid), gid: Number(gid) }
    }
  } catch {
    // No such file: no such user.
  }
  return undefined
}

function createUser(): { uid: number; gid: number } | undefined {
  const attempts: readonly (readonly [string, readonly string[]])[] = [
    ['useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', userName]],
    ['adduser', ['-S', '-D', '-H', userName]],
  ]
  for (const [command, args] of attempts) {
    try {
      execFileSync(command, args, { stdio: 'ignore' })
      return idsOf(userName)
    } catch {
      // The next one, or a user that is there already.
    }
  }
  return undefined
}

/** Whether everybody may pass through the folder and all those above it. */
export function isReachable(folder: string): boolean {
  for (let path = folder; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false
    if (path === dirname(path)) return true
  }
}
