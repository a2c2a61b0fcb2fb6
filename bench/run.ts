import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createAuthority } from '../complement-tests/certificates.ts'
import { keepAwake } from './awake.ts'
import { lineOf, type Run, reportOf } from './report.ts'
import { startChappe } from './servers/chappe.ts'
import { serverElsewhere } from './servers/elsewhere.ts'
import type { BenchServer } from './servers/server.ts'
import { startSynapse } from './servers/synapse.ts'
import { runWorkload } from './workloads/bench.ts'
import { workloads } from './workloads/index.ts'
import type { Figures, Sizes, Workload } from './workloads/workload.ts'

/**
 * Runs the same work on one homeserver or two, one after the other, and says what it took: bench/README.md.
 */
const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    scale: { type: 'string' },
    processes: { type: 'string' },
    awake: { type: 'boolean', default: false },
    url: { type: 'string', multiple: true },
    secret: { type: 'string', default: '' },
    'service-token': { type: 'string' },
    pid: { type: 'string', multiple: true, default: [] },
    results: { type: 'string' },
  },
})

const scale = Number(values.scale ?? (values.quick ? 0.02 : 1))
const sizes: Sizes = {
  seconds: values.quick ? 3 : 10,
  scaled: (full, least = 1) => Math.max(Math.min(full, least), Math.round(full * scale)),
}

/** What several processes can be expected to do faster. */
const ofProcesses = 'send-many-rooms,send-one-room,sync-idle,sync-message,wake-100,create-room'

function chosen(): readonly Workload[] {
  const names = (values.only ?? (values.processes ? ofProcesses : undefined))?.split(',')
  for (const name of names ?? []) {
    if (workloads.some((workload) => workload.name === name)) continue
    throw new Error(`There is no workload ${name}, but ${workloads.map((workload) => workload.name).join(', ')}`)
  }
  return names === undefined ? workloads : workloads.filter(({ name }) => names.includes(name))
}

function servers(): readonly (() => Promise<BenchServer>)[] {
  if (values.url !== undefined) {
    const serviceToken = values['service-token']
    const registersBy = { sharedSecret: values.secret, ...(serviceToken && { serviceToken }) }
    return [async () => serverElsewhere(values.url!, registersBy, values.pid.map(Number))]
  }
  if (values.processes !== undefined) {
    return values.processes.split(',').map((count) => () => startChappe({ authority, processes: Number(count) }))
  }
  if (values.against === undefined) return [() => startChappe({ authority })]
  if (values.against !== 'synapse') throw new Error('It can be compared with synapse')
  return [() => startChappe({ authority }), () => startSynapse({ authority })]
}

/** Where the report goes; undefined: it is only printed. */
const file = ((): string | undefined => {
  if (values.results !== undefined) return values.results
  if (values.processes !== undefined) return join(import.meta.dirname, 'results-processes.md')
  return values.against === undefined ? undefined : join(import.meta.dirname, 'results.md')
})()
const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')

/** The report is written after each workload: a run that is broken off has what it measured. */
async function runAll(server: BenchServer, figures: Map<Workload, Figures | Error>): Promise<void> {
  console.log(`\n${server.name}`)
  for (const workload of wanted) {
    const found = await runWorkload(workload, server, sizes).catch((error: unknown) => error as Error)
    figures.set(workload, found)
    console.log(`  ${workload.title(sizes)}: ${lineOf(found)}`)
    if (file !== undefined) writeFileSync(file, reportOf(runs, wanted, sizes, command))
  }
}

using authority = createAuthority()
using resources = new DisposableStack()
let awake: ReturnType<typeof keepAwake> | undefined
const wanted = chosen()
const runs: Run[] = []
let running: BenchServer | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Servers are children in groups of their own, and would go on.
  process.once(signal, () => void running?.stop().finally(() => process.exit(1)))
}
for (const start of servers()) {
  // A load that the server before has left ends within a minute or two, and is told of too.
  const loadBefore = Math.max(0, loadavg()[0]! - (awake?.count ?? 0))
  if (values.awake) awake ??= resources.use(keepAwake())
  const server = await start()
  running = server
  try {
    const figures = new Map<Workload, Figures | Error>()
    runs.push({ name: server.name, loadBefore, figures })
    await runAll(server, figures)
  } finally {
    await server.stop()
  }
}
if (file !== undefined) console.log(`\n${file}`)
