import type { Context } from '../context.ts'

/** Lets downloads wait for an upload, in whatever process that happens. */
export type UploadWaits = {
  /** Resolves when content arrived under the URI, may have arrived unheard, or the wait is ended by the signal. */
  wait(uri: string, signal: AbortSignal): Promise<void>
  /** Call it after the commit. */
  arrived(uri: string): void
}

export function createUploadWaits(ctx: Pick<Context, 'invalidations'>): UploadWaits {
  const waiting = new Map<string, Set<() => void>>()

  ctx.invalidations.subscribe('media', (uri) => {
    const woken = uri === undefined ? [...waiting.values()] : [waiting.get(uri) ?? []]
    for (const wakes of woken) for (const wake of [...wakes]) wake()
  })

  return {
    wait(uri, signal) {
      if (signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const wakes = waiting.get(uri) ?? new Set()
        function wake(): void {
          signal.removeEventListener('abort', wake)
          wakes.delete(wake)
          if (wakes.size === 0 && waiting.get(uri) === wakes) waiting.delete(uri)
          resolve()
        }
        wakes.add(wake)
        waiting.set(uri, wakes)
        signal.addEventListener('abort', wake)
      })
    },
    arrived(uri) {
      ctx.invalidations.publish('media', uri)
    },
  }
}
