import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { MatrixError } from '../matrix/errors.ts'
import { MAX_THUMBNAIL_MS, MAX_WAITING_THUMBNAILS, THUMBNAIL_IDLE_MS } from './limits.ts'
import type { ThumbnailForm } from './thumbnail-sizes.ts'

/** Without a form the image is only measured. */
export type ThumbnailJob = {
  readonly path: string
  readonly form: ThumbnailForm | undefined
  readonly maxPixels: number
}

export type Pixels = { readonly width: number; readonly height: number }

export type ThumbnailOutcome =
  | { readonly contentType: string; readonly data: Uint8Array }
  /** The image serves as it is. */
  | { readonly original: true }
  | { readonly problem: 'too large' | 'undecodable' }
  | { readonly pixels: Pixels }

/** Makes thumbnails, one at a time, in a process of its own. */
export type Thumbnailer = {
  /**
   * @param path An image whose first bytes say that it is decoded here.
   * @throws MatrixError M_LIMIT_EXCEEDED when too many wait already.
   */
  make(path: string, form: ThumbnailForm): Promise<ThumbnailOutcome>
  /**
   * How large an image is shown.
   *
   * @returns undefined for what cannot be decoded, or is too large to be.
   * @throws MatrixError as `make`.
   */
  measure(path: string): Promise<Pixels | undefined>
  close(): Promise<void>
}

const program = join(import.meta.dirname, 'thumbnail-process.ts')

export function createThumbnailer(options: { maxPixels: number; log: Logger }): Thumbnailer {
  let child: ChildProcess | undefined
  let idle: NodeJS.Timeout | undefined
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function stop(): void {
    child?.off('exit', forget).kill('SIGKILL')
    child = undefined
  }

  function forget(): void {
    child = undefined
  }

  function run(job: ThumbnailJob): Promise<ThumbnailOutcome> {
    clearTimeout(idle)
    const worker = (child ??= start(forget))
    return new Promise((resolve) => {
      const timer = setTimeout(() => end({ problem: 'undecodable' }), MAX_THUMBNAIL_MS)
      function end(outcome: ThumbnailOutcome, isGone = true): void {
        clearTimeout(timer)
        worker.off('message', done).off('exit', fail).off('error', fail)
        if (isGone) stop()
        idle = setTimeout(stop, THUMBNAIL_IDLE_MS).unref()
        resolve(outcome)
      }
      const done = (outcome: unknown): void => end(outcome as ThumbnailOutcome, false)
      const fail = (): void => {
        options.log.warn({ path: job.path }, 'The thumbnail process ended while it read an image')
        end({ problem: 'undecodable' })
      }
      worker.on('message', done).once('exit', fail).once('error', fail)
      worker.send(job)
    })
  }

  async function queue(path: string, form: ThumbnailForm | undefined): Promise<ThumbnailOutcome> {
    if (waiting >= MAX_WAITING_THUMBNAILS) {
      throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many thumbnails are being made', {
        extra: { retry_after_ms: 1000 },
      })
    }
    waiting++
    const mine = last.then(() => run({ path, form, maxPixels: options.maxPixels }))
    last = mine
    try {
      return await mine
    } finally {
      waiting--
    }
  }

  return {
    make: queue,
    async measure(path) {
      const outcome = await queue(path, undefined)
      return 'pixels' in outcome ? outcome.pixels : undefined
    },
    async close() {
      clearTimeout(idle)
      await last
      clearTimeout(idle)
      stop()
    },
  }
}

/** Nothing of our environment, which may hold secrets; one arena, as images are large and short-lived. */
function start(onExit: () => void): ChildProcess {
  const child = fork(program, {
    env: { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '1' },
    execArgv: ['--max-old-space-size=64'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  // Whoever has a job there is told by its own listener.
  child.on('error', () => {})
  child.once('exit', onExit)
  // Neither the process nor the channel keeps the server alive.
  child.unref()
  child.channel?.unref()
  return child
}
