import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { createAlarm, pause } from '../pause.ts'
import {
  countAttempt,
  deleteOldJobs,
  insertJob,
  type JobRow,
  jobById,
  nextJob,
  saveJob,
} from '../storage/admin-jobs.ts'

/** What a job is given: it may have been begun before, and must come to the same end. */
export type Job = {
  readonly subject: string
  readonly parameters: JsonObject
  /** What an earlier attempt had achieved. */
  readonly result: JsonObject
  /** Notes what has been achieved so far. */
  note(result: JsonObject): Promise<void>
  /** Aborted when the process ends, or is no longer the one that does this. */
  readonly stop: AbortSignal
}

/** @returns what was achieved. @throws when it cannot be done. */
export type RunJob = (ctx: Context, job: Job) => Promise<JsonObject>

/**
 * Work that goes on after its request was answered. One process of the deployment does it, a job after the other; what it
 * leaves half done when it ends, the next one takes up.
 */
export type Jobs = {
  /** @returns the id under which its status can be asked for. */
  add(job: {
    readonly kind: string
    readonly subject: string
    readonly parameters: JsonObject
    readonly requestedBy: string
  }): Promise<string>
  find(jobId: string): Promise<JobRow | undefined>
  /** Begins to work, once this process is the one that does. */
  start(ctx: Context): void
  close(): Promise<void>
}

const ownedName = 'admin jobs'
/** Milliseconds that the status of a job can be asked for after its end. */
const keptFor = 30 * 24 * 3_600_000
/** Milliseconds before a job is tried again that the database did not let through; doubled by each failure. */
const retryAfter = 1000
const longestRetry = 60_000
/** Of a job that gets no further, or takes its process down. */
const mostAttempts = 10

export function createJobs(
  base: Pick<Context, 'database' | 'clock' | 'random' | 'invalidations' | 'ownership' | 'closing' | 'log'>,
  kinds: { readonly [kind: string]: RunJob },
): Jobs {
  let started = false
  const alarm = createAlarm()
  let running: Promise<void> = Promise.resolve()

  async function work(ctx: Context, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const [row] = await base.database.read(nextJob, [])
      if (row) await attempt(ctx, row, stop)
      else await alarm.rest(Number.POSITIVE_INFINITY, stop)
    }
  }

  async function attempt(ctx: Context, row: JobRow, stop: AbortSignal): Promise<void> {
    const save = (status: JobRow['status'], result: JsonObject, error: string | null, endedAt: number | null) =>
      base.database.read(saveJob, [row.job_id, status, JSON.stringify(result), error, endedAt])
    let result = JSON.parse(row.result) as JsonObject
    const note = async (achieved: JsonObject): Promise<void> => {
      result = achieved
      await save('active', result, null, null)
    }
    if (row.attempts >= mostAttempts) {
      base.log.error({ job: row.job_id }, 'A job is given up')
      await save('failed', result, 'Given up after many attempts', base.clock.now())
      return
    }
    await base.database.read(countAttempt, [row.job_id, true])
    try {
      const run = Object.hasOwn(kinds, row.kind) ? kinds[row.kind]! : unknownKind
      const parameters = JSON.parse(row.parameters) as JsonObject
      result = await run(ctx, { subject: row.subject, parameters, result, note, stop })
      await (stop.aborted
        ? base.database.read(countAttempt, [row.job_id, false])
        : save('complete', result, null, base.clock.now()))
    } catch (error) {
      if (stop.aborted) return
      if (error instanceof MatrixError) await save('failed', result, error.message, base.clock.now())
      else {
        base.log.error({ err: error, job: row.job_id }, 'A job is tried again')
        await pause(Math.min(retryAfter * 2 ** row.attempts, longestRetry), stop)
      }
    }
  }

  /** The database may be away for a while. */
  async function keepWorking(ctx: Context, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      try {
        await work(ctx, stop)
      } catch (error) {
        if (stop.aborted) return
        base.log.warn({ error: (error as Error).message }, 'Jobs wait for the database')
        await pause(retryAfter, stop)
      }
    }
  }

  return {
    async add(job) {
      const id = base.random.token(12)
      await base.database.read(deleteOldJobs, [base.clock.now() - keptFor])
      await insertJob(base.database.db, {
        job_id: id,
        kind: job.kind,
        subject: job.subject,
        parameters: JSON.stringify(job.parameters),
        requested_by: job.requestedBy,
        created_at: base.clock.now(),
      })
      base.invalidations.publish('admin-jobs', id)
      return id
    },
    find: async (jobId) => (await base.database.read(jobById, [jobId]))[0],
    start(ctx) {
      if (started) return
      started = true
      base.invalidations.subscribe('admin-jobs', () => alarm.ring())
      base.ownership.claim(ownedName, (lost) => {
        running = keepWorking(ctx, AbortSignal.any([lost, base.closing]))
      })
    },
    close: () => running,
  }
}

function unknownKind(): never {
  throw new MatrixError('M_UNKNOWN', 'Nothing here does such work')
}
