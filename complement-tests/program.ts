import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The program as an operator starts it, in a folder of its own: nothing here knows what is inside. */
export type Program = {
  readonly url: string
  readonly dataDir: string
  readonly sharedSecret: string
  readonly process: ChildProcess
  /** Ends it as an operator does, and waits. */
  stop(): Promise<void>
  /** Ends it without a chance to finish anything, and waits. */
  kill(): Promise<void>
  /** Starts it again on the same data and the same port. */
  restart(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const sharedSecret = 'secret of the black-box tests'
const startTimeout = 60_000

export async function startProgram(environment: Record<string, string> = {}): Promise<Program> {
  const dataDir = mkdtempSync(join(tmpdir(), 'chappe-program-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, ['chappe.js', 'start'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        CHAPPE_DATA_DIR: dataDir,
        CHAPPE_HOST: '127.0.0.1',
        CHAPPE_PORT: String(port),
        CHAPPE_REGISTRATION: 'open',
        CHAPPE_REGISTRATION_SHARED_SECRET: sharedSecret,
        CHAPPE_RATE_LIMITS: 'off',
        CHAPPE_LOG_LEVEL: 'warn',
        ...environment,
      },
    })
    let said = ''
    child.stderr!.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-1000)
    })
    child.stderr!.pipe(process.stderr)
    await answering(url, child, () => said)
    return child
  }
  let child = await start()
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return {
    url,
    dataDir,
    sharedSecret,
    get process() {
      return child
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async restart() {
      child = await start()
    },
    async [Symbol.asyncDispose]() {
      await end('SIGTERM')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Asks until the server answers: that is how whoever runs it finds out too. */
async function answering(url: string, child: ChildProcess, said: () => string): Promise<void> {
  const deadline = performance.now() + startTimeout
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`The program ended instead of starting: ${said()}`)
    const answer = await fetch(`${url}/_matrix/client/versions`).catch(() => undefined)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  child.kill('SIGKILL')
  throw new Error('The program does not answer')
}

/** Below the ports that the system gives to connections, so that none of those takes it meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    await new Promise((resolve) => server.close(resolve))
    if (isFree) return port
  }
}
