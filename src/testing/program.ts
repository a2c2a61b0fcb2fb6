import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const main = join(root, 'chappe.js')

export type Finished = { code: number | null; stdout: string; stderr: string }

/** The program as anybody would start it, in a process of its own. */
export class Program {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], env: Record<string, string>, input = '', command = [process.execPath, main]) {
    this.child = spawn(command[0]!, [...command.slice(1), ...args], {
      cwd: root,
      env: { PATH: process.env.PATH, ...env },
    })
    this.child.stdin!.end(input)
    this.child.stdout!.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += chunk
    })
    this.finished = new Promise((resolve) => {
      this.child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** Where it serves, once it does. */
  async url(): Promise<string> {
    for (;;) {
      const match = /at (http:\S+)/.exec(this.stdout)
      if (match !== null) return match[1]!
      const more = new Promise((resolve) => this.child.stdout!.once('data', resolve))
      const ended = await Promise.race([more.then(() => undefined), this.finished])
      if (ended !== undefined) throw new Error(`It ended: ${ended.stderr}`)
    }
  }

  end(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal)
    return this.finished
  }
}
