import { Registry } from 'prom-client'
import { createProcessMetrics } from './process-metrics.ts'
import { createRequestMetrics, type RequestMetrics } from './request-metrics.ts'
import { createWriterMetrics, type WriterMetrics } from './writer-metrics.ts'

/** What operators can watch, in the form of Prometheus. */
export type Metrics = {
  /** Where further metrics are registered. Labels must be bounded: never what a client or another server makes up. */
  readonly registry: Registry
  readonly requests: RequestMetrics
  readonly writer: WriterMetrics
  /** Has something read just before it is told. What fails is told as it was. */
  onScrape(read: () => void | Promise<void>): void
  /** Everything, as text of `registry.contentType`. Whoever asks meanwhile gets the same. */
  scrape(): Promise<string>
  close(): void
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  const readers: (() => void | Promise<void>)[] = []
  let running: Promise<string> | undefined
  const onScrape = (read: () => void | Promise<void>): void => {
    readers.push(read)
  }
  const { close } = createProcessMetrics(registry, onScrape)
  const tell = async (): Promise<string> => {
    await Promise.allSettled(readers.map(async (read) => read()))
    return registry.metrics()
  }
  return {
    registry,
    requests: createRequestMetrics(registry, onScrape),
    writer: createWriterMetrics(registry),
    onScrape,
    scrape() {
      running ??= tell().finally(() => {
        running = undefined
      })
      return running
    },
    close,
  }
}
