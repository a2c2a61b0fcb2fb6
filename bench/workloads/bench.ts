import { type BenchClient, connect } from '../client.ts'
import { inParallel } from '../load.ts'
import { cpuSeconds, latenciesOf, residentMiB } from '../measure.ts'
import type { BenchServer } from '../servers/server.ts'
import type { Bench, Figures, Sizes, Workload } from './workload.ts'

/** Registrations at once. */
const width = 8

/** Runs one workload on a server. */
export async function runWorkload(workload: Workload, server: BenchServer, sizes: Sizes): Promise<Figures> {
  const connections = connect(server, workload.connections ?? 64)
  const tag = `${Date.now().toString(36)}-${workload.name}`
  const bench: Bench = {
    ...sizes,
    server,
    connections,
    tag,
    async users(prefix, count) {
      const users: BenchClient[] = []
      const jobs = Array.from({ length: count }, (_, index) => async () => {
        users[index] = await connections.register(`${tag}-${prefix}${index}`)
      })
      await inParallel(width, jobs)
      return users
    },
    async measure(work, { count } = {}) {
      const { server: serverPids, database } = server.pids
      const before = { server: cpuSeconds(serverPids), database: cpuSeconds(database) }
      const { samples, seconds } = await work()
      const pieces = (typeof count === 'function' ? count() : count) ?? samples.length
      const each = (pids: readonly number[], used: number): number => ((cpuSeconds(pids) - used) * 1000) / pieces
      const { p50, p99 } = latenciesOf(samples)
      const times: Figures = { rate: pieces / seconds, p50, p99 }
      if (serverPids.length === 0) return times
      const serverCpu = each(serverPids, before.server)
      const databaseCpu = each(database, before.database)
      return { ...times, serverCpu, databaseCpu, cpu: serverCpu + databaseCpu, memory: residentMiB(serverPids) }
    },
    settled: (pause = 500) => settled(server, pause),
  }
  try {
    return await workload.run(bench)
  } finally {
    await connections.close()
  }
}

/** Until it has used less than a twentieth of a processor for so many milliseconds, or nobody can tell. */
async function settled({ pids }: BenchServer, pause: number): Promise<void> {
  const all = [...pids.server, ...pids.database]
  for (let before = cpuSeconds(all); ; ) {
    await new Promise((resolve) => setTimeout(resolve, pause))
    const now = cpuSeconds(all)
    if (now - before < pause / 1000 / 20) return
    before = now
  }
}
