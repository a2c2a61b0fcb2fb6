import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'
import release from '../../package.json' with { type: 'json' }
import type { Metrics } from './metrics.ts'

/** Milliseconds between two looks at the clock. */
const resolution = 20

/** What the process costs: event loop, processor and memory, under the names that dashboards for Node know. */
export function createProcessMetrics(registry: Registry, onScrape: Metrics['onScrape']): { close(): void } {
  const registers = [registry]
  const lag = new Gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'How late the event loop was since the last scrape, as a quantile; 1 is the longest',
    labelNames: ['quantile'],
    registers,
  })
  const active = counter(registry, 'chappe_event_loop_active_seconds_total', 'Time the event loop was not idle')
  const cpu = counter(registry, 'process_cpu_seconds_total', 'User and system time')
  const memory = new Gauge({
    name: 'chappe_memory_bytes',
    help: 'Memory by kind: resident (all of it), heap used and total, external, array buffers',
    labelNames: ['kind'],
    registers,
  })
  const started = new Gauge({ name: 'process_start_time_seconds', help: 'When the process started', registers })
  started.set(performance.timeOrigin / 1000)
  new Gauge({ name: 'chappe_info', help: 'The release', labelNames: ['version'], registers }).set(
    { version: release.version },
    1,
  )

  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  onScrape(() => {
    for (const quantile of [0.5, 0.99, 1]) {
      // The interval itself is part of what is measured.
      const late = delay.count === 0 ? 0 : delay.percentile(quantile * 100) / 1e9 - resolution / 1000
      lag.set({ quantile }, Math.max(0, late))
    }
    delay.reset()
    active.reset()
    active.inc(performance.eventLoopUtilization().active / 1000)
    const { user, system } = process.cpuUsage()
    cpu.reset()
    cpu.inc((user + system) / 1e6)
    const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
    memory.set({ kind: 'resident' }, rss)
    memory.set({ kind: 'heap used' }, heapUsed)
    memory.set({ kind: 'heap total' }, heapTotal)
    memory.set({ kind: 'external' }, external)
    memory.set({ kind: 'array buffers' }, arrayBuffers)
  })
  return { close: () => delay.disable() }
}

function counter(registry: Registry, name: string, help: string): Counter {
  return new Counter({ name, help, registers: [registry] })
}
