import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** CPU seconds that processes and their children have used so far, in user and system mode. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticksPerSecond = 100
  let ticks = 0
  for (const pid of withChildren(pids)) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      // utime, stime, and those of children that have ended.
      ticks += Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])
    } catch {
      // It has ended: its parent counts it.
    }
  }
  return ticks / ticksPerSecond
}

/** Resident memory of processes without their children, in MiB. */
export function residentMiB(pids: readonly number[]): number {
  let kib = 0
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    kib += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
  }
  return kib / 1024
}

function withChildren(pids: readonly number[]): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
  const children = new Map<number, number[]>()
  for (const row of rows.trim().split('\n')) {
    const [pid, parent] = row.trim().split(/\s+/).map(Number) as [number, number]
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const all = [...pids]
  for (let index = 0; index < all.length; index++) all.push(...(children.get(all[index]!) ?? []))
  return [...new Set(all)]
}

export type Latencies = { readonly count: number; readonly p50: number; readonly p99: number; readonly max: number }

/** Of milliseconds. */
export function latenciesOf(samples: readonly number[]): Latencies {
  const sorted = samples.toSorted((one, other) => one - other)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 }
}
