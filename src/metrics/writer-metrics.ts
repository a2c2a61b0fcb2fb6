import { Histogram, type Registry } from 'prom-client'

/** Told of each batch of the writer. */
export type WriterMetrics = {
  wrote(batch: { readonly units: number; readonly seconds: number }): void
  /** Seconds that a unit waited for its batch to begin. */
  waited(seconds: number): void
}

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

export function createWriterMetrics(registry: Registry): WriterMetrics {
  const registers = [registry]
  const units = new Histogram({
    name: 'chappe_writer_batch_units',
    help: 'Units of work that are committed together',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registers,
  })
  const batches = new Histogram({
    name: 'chappe_writer_batch_seconds',
    help: 'Time to write and commit a batch',
    buckets: seconds,
    registers,
  })
  const waits = new Histogram({
    name: 'chappe_writer_wait_seconds',
    help: 'Time that a unit of work waits for its batch to begin',
    buckets: seconds,
    registers,
  })
  return {
    wrote(batch) {
      units.observe(batch.units)
      batches.observe(batch.seconds)
    },
    waited: (wait) => waits.observe(wait),
  }
}
