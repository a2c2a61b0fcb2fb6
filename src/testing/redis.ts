import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type TestRedis = {
  readonly url: string
  /** As if the machine were gone. */
  kill(): Promise<void>
  /** Starts it again, empty, at the same address. */
  restart(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * The `redis-server` of this machine; Debian's package is installed when there is none and we may.
 *
 * @throws Error with one sentence.
 */
export async function findRedisServer(): Promise<string> {
  if (isThere()) return 'redis-server'
  if (process.getuid?.() === 0) {
    try {
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
      execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env })
      execFileSync('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'redis-server'], {
        stdio: 'ignore',
        env,
      })
    } catch {
      // Said below.
    }
    if (isThere()) return 'redis-server'
  }
  const missing = new Error('The tests need Redis: install redis-server, or set REDIS_URL to one that runs.')
  // A sentence for whoever runs the tests, who has no use for where it was thrown.
  missing.stack = missing.message
  throw missing
}

/** Starts a Redis of its own that a test can kill. */
export async function startTestRedis(): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-redis-'))
  const redis = await startRedisServer(await findRedisServer(), folder)
  const stop = async (): Promise<void> => {
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...redis, stop, [Symbol.asyncDispose]: stop }
}

/** Redis on a socket in the folder, which keeps nothing on disk. */
export async function startRedisServer(program: string, folder: string): Promise<TestRedis> {
  const socket = join(folder, 'redis.sock')
  let child: ChildProcess | undefined
  const restart = async (): Promise<void> => {
    const args = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder]
    child = spawn(program, args, { stdio: 'ignore' })
    await untilListening(socket, child)
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child!.once('exit', resolve))
    child.kill(signal)
    await ended
  }
  await restart()
  const stop = (): Promise<void> => end('SIGTERM')
  return { url: socket, kill: () => end('SIGKILL'), restart, stop, [Symbol.asyncDispose]: stop }
}

async function untilListening(socket: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`)
    const isOpen = await new Promise<boolean>((resolve) => {
      const probe = connect(socket)
      probe.once('connect', () => {
        probe.destroy()
        resolve(true)
      })
      probe.once('error', () => resolve(false))
    })
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function isThere(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
