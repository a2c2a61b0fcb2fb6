import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { pythonWith } from './install-python.ts'
import { freePort } from './program.ts'

/** A bridge to IRC and an IRC server, both of another hand, as they are installed from PyPI. */
const packages = ['heisenbridge==1.15.4', 'irc==20.3.1']

export type Bridge = AsyncDisposable & {
  /** The registration that the bridge made for itself. */
  readonly registration: string
  readonly ircPort: number
  /** Starts the bridge against a server that knows the registration. */
  start(baseUrl: string, owner: string): void
  /** Ends the bridge as a crash does, and waits. */
  kill(): Promise<void>
}

export async function installBridge(): Promise<Bridge> {
  const python = await pythonWith('bridge', packages)
  const folder = mkdtempSync(join(tmpdir(), 'chappe-bridge-'))
  const [ircPort, bridgePort] = [await freePort(), await freePort()]
  const registration = join(folder, 'registration.yaml')
  const bridgeArguments = ['-m', 'heisenbridge', '-c', registration, '-l', '127.0.0.1', '-p', String(bridgePort)]
  await promisify(execFile)(python, [...bridgeArguments, '--generate'])
  const irc = startProcess(python, ['-m', 'irc.server', '-a', '127.0.0.1', '-p', String(ircPort), '-l', 'ERROR'])
  await listening(ircPort)
  let bridge: ChildProcess | undefined
  return {
    registration,
    ircPort,
    start(baseUrl, owner) {
      bridge = startProcess(python, [...bridgeArguments, '-o', owner, baseUrl])
    },
    async kill() {
      await ended(bridge)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([ended(bridge), ended(irc)])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function startProcess(command: string, options: readonly string[]): ChildProcess {
  const isShown = process.env.CHAPPE_TEST_LOG === 'bridge'
  return spawn(command, options, { stdio: ['ignore', 'ignore', isShown ? 'inherit' : 'ignore'] })
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Somebody on IRC. */
export type IrcUser = Disposable & {
  say(channel: string, text: string): void
  /** The next line that the server sends and that holds this. */
  line(text: string): Promise<string>
}

export async function joinIrc(port: number, nick: string, channel: string): Promise<IrcUser> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  const send = (text: string): void => {
    socket.write(`${text}\r\n`)
  }
  const user: IrcUser = {
    say: (to, text) => send(`PRIVMSG ${to} :${text}`),
    async line(text) {
      for (;;) {
        const { value, done } = await lines.next()
        if (done) throw new Error('The IRC server hung up')
        if (value.startsWith('PING')) send(value.replace('PING', 'PONG'))
        if (value.includes(text)) return value
      }
    },
    [Symbol.dispose]: () => socket.destroy(),
  }
  send(`NICK ${nick}`)
  send(`USER ${nick} 0 * :${nick}`)
  send(`JOIN ${channel}`)
  await user.line(` ${channel} `)
  return user
}
