import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } }
const path = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)

/**
 * Starts the program as `npm start` does, in the process that is answered. It finds nothing in its environment but what is
 * given, and `BENCH_NODE_OPTIONS` as further options of Node.
 */
export function startProgram(environment: { readonly [name: string]: string }): ChildProcess {
  const { BENCH_NODE_OPTIONS: options } = process.env
  return spawn('/bin/sh', ['-c', scripts.start], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { PATH: path, ...(options && { NODE_OPTIONS: options }), ...environment },
  })
}
