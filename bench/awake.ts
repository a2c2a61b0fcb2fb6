import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/**
 * Gives every processor something to do that anything else goes before, so that none falls asleep: what a machine does at a low
 * rate is else measured with its waking, which on a virtual one costs more than the work. Linux: the scheduling class `idle`.
 */
export function keepAwake(): Disposable & { readonly count: number } {
  const spinners = Array.from({ length: availableParallelism() }, () =>
    spawn('chrt', ['--idle', '0', process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' }),
  )
  const end = (): void => {
    for (const spinner of spinners) spinner.kill('SIGKILL')
  }
  process.once('exit', end)
  return { count: spinners.length, [Symbol.dispose]: end }
}
