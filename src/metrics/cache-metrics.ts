import { Counter, Gauge } from 'prom-client'
import type { Caches } from '../storage/caches.ts'
import type { Metrics } from './metrics.ts'

/** Has what caches count told at every scrape. */
export function watchCaches(metrics: Metrics, caches: Caches): void {
  const registers = [metrics.registry]
  const labelNames = ['cache'] as const
  const lookUps = new Counter({
    name: 'chappe_cache_lookups_total',
    help: 'Look-ups in what the process remembers, by whether it was there',
    labelNames: [...labelNames, 'outcome'],
    registers,
  })
  const entries = new Gauge({ name: 'chappe_cache_entries', help: 'What is remembered', labelNames, registers })
  const bytes = new Gauge({
    name: 'chappe_cache_bytes',
    help: 'Memory that a cache takes by its own estimate, of those that have one',
    labelNames,
    registers,
  })
  metrics.onScrape(() => {
    lookUps.reset()
    for (const { name: cache, ...figures } of caches.figures()) {
      lookUps.inc({ cache, outcome: 'hit' }, figures.hits)
      lookUps.inc({ cache, outcome: 'miss' }, figures.misses)
      entries.set({ cache }, figures.entries)
      if (figures.bytes !== undefined) bytes.set({ cache }, figures.bytes)
    }
  })
}
