import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endpoints } from '../src/client/index.ts'
import { everySwitch, fuzz } from '../src/testing/fuzz.ts'
import { Program } from '../src/testing/program.ts'
import { residentMiB } from './measure.ts'

/**
 * Asks a program of its own for what nobody should ask for, and says what it answered and how much memory it held.
 *
 *   npx node bench/fuzz.ts [CASES [SEED [FROM]]]
 *
 * Ends with 1 when an answer was an internal error, did not come, had another shape than the specification gives it, or when
 * the second half of the run made the program grow.
 */
const [cases = 100_000, seed = 1, from = 0] = process.argv.slice(2).map(Number)
const steps = 20
/**
 * MiB between the middle and the end: what a fragmented heap takes, and for each case what is remembered of the users and rooms
 * that come about. Caches of 10,000 rooms, of 20,000 connections and so on are not full before there were so many: after 60,000
 * cases the heap held 2,200 rooms, and little else that grew.
 */
const mostGrowth = 32 + cases / 2 / 1024

const folder = mkdtempSync(join(tmpdir(), 'chappe-fuzz-'))
const program = new Program(['start'], {
  CHAPPE_DATA_DIR: folder,
  CHAPPE_HOST: '127.0.0.1',
  CHAPPE_PORT: '0',
  CHAPPE_REGISTRATION: 'open',
  CHAPPE_RATE_LIMITS: 'off',
  CHAPPE_LOG_LEVEL: 'error',
  ...Object.fromEntries(everySwitch.map((name) => [`CHAPPE_EXPERIMENTAL_${name.toUpperCase()}`, 'true'])),
})
const url = await program.url()
const routes = endpoints.flatMap(({ method, paths }) => paths.map((path) => ({ method, path })))
const held: number[] = []
const began = performance.now()
const { failures, statuses, slowest } = await fuzz({
  url,
  routes,
  seed,
  from,
  cases,
  onProgress(done) {
    if (done % Math.ceil(cases / steps) !== 0) return
    held.push(residentMiB([program.child.pid!]))
    console.log(`${done} asked, ${held.at(-1)!.toFixed(0)} MiB`)
  },
})
const growth = Math.max(...held.slice(-3)) - Math.max(...held.slice(steps / 2 - 3, steps / 2))
const answers = [...statuses].toSorted(([one], [other]) => one - other).map(([status, count]) => `${count} × ${status}`)
console.log(
  `${cases} cases, seed ${seed}, ${routes.length} routes, ${((performance.now() - began) / 1000).toFixed(0)} s`,
)
console.log(`answers: ${answers.join(', ')}`)
console.log(`slowest: ${slowest.milliseconds.toFixed(0)} ms, ${slowest.request}`)
console.log(`memory: ${growth.toFixed(0)} MiB more at the end than in the middle`)
for (const failure of failures) console.log(failure)
await program.end('SIGTERM')
rmSync(folder, { recursive: true, force: true })
process.exitCode = failures.length > 0 || growth > mostGrowth ? 1 : 0
