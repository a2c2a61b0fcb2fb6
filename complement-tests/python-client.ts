import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pythonWith } from './install-python.ts'

/** A client library of another hand, as it is installed from PyPI, and the program here that is written with it. */
export type PythonLibrary = { readonly name: string; readonly packages: readonly string[]; readonly program: string }

export const pythonLibraries: readonly PythonLibrary[] = [
  { name: 'matrix-nio', packages: ['matrix-nio[e2e]==0.26.0'], program: 'nio_client.py' },
  { name: 'mautrix', packages: ['mautrix[encryption]==0.21.1'], program: 'mautrix_client.py' },
]

/** One device of one user. */
export type PythonClient = AsyncDisposable & {
  /** Has a command done: the program says which there are. */
  ask<Result>(command: string, values?: { readonly [name: string]: string }): Promise<Result>
}

export type Account = { readonly url: string; readonly user: string; readonly password: string }

/** Installs the library where it is not there yet, and starts its program for a user that there is. */
export async function startPythonClient(library: PythonLibrary, account: Account): Promise<PythonClient> {
  const python = await pythonWith(library.name, library.packages)
  const folder = mkdtempSync(join(tmpdir(), 'chappe-python-'))
  const program = join(import.meta.dirname, 'python', library.program)
  const isShown = process.env.CHAPPE_TEST_LOG === 'python'
  const child = spawn(python, ['-B', program, account.url, account.user, account.password, folder], {
    stdio: ['pipe', 'pipe', isShown ? 'inherit' : 'ignore'],
  })
  const ended = once(child, 'exit')
  const answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return {
    async ask(command, values = {}) {
      child.stdin!.write(`${JSON.stringify({ do: command, ...values })}\n`)
      const { value, done } = await answers.next()
      if (done) throw new Error(`${library.name} ended at: ${command}`)
      const { answer, error } = JSON.parse(value)
      if (error !== undefined) throw new Error(`${library.name}, ${command}: ${error}`)
      return answer
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
