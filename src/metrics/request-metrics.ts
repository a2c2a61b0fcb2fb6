import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Metrics } from './metrics.ts'

/** Requests by the operation they are for, which is a path of the specification and never what a client sent. */
export type RequestMetrics = {
  begin(operation: string): void
  /** `status` is that of the answer, or `aborted` where nobody waited for it. */
  end(operation: string, status: number | 'aborted', seconds: number): void
}

/** Seconds; the last ones are those of long polls. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export function createRequestMetrics(registry: Registry, onScrape: Metrics['onScrape']): RequestMetrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'chappe_http_requests_total',
    help: 'Requests that were answered, by operation and status',
    labelNames: ['operation', 'status'],
    registers,
  })
  const duration = new Histogram({
    name: 'chappe_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer, the waiting of long polls included',
    labelNames: ['operation'],
    buckets,
    registers,
  })
  const inProgress = new Gauge({
    name: 'chappe_http_requests_in_progress',
    help: 'Requests that are being answered, long polls among them',
    labelNames: ['operation'],
    registers,
  })
  const underWay = new Map<string, number>()
  onScrape(() => {
    for (const [operation, count] of underWay) inProgress.set({ operation }, count)
  })
  return {
    begin: (operation) => underWay.set(operation, (underWay.get(operation) ?? 0) + 1),
    end(operation, status, seconds) {
      underWay.set(operation, underWay.get(operation)! - 1)
      requests.inc({ operation, status })
      duration.observe({ operation }, seconds)
    },
  }
}
