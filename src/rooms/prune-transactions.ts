import type { Context } from '../context.ts'
import { type Statement, statement } from '../storage/database.ts'

/** Forgets transaction ids that nobody repeats any more: those of clients, also of messages to devices, and those of servers. */
export type TransactionPruning = {
  /** Deletes what is too old, and resolves with how many there were. */
  prune(): Promise<number>
  /** Begins no further portion, and waits for the one under way. */
  close(): Promise<void>
}

/** Milliseconds for which a transaction id is remembered. */
export const transactionLifetime = 24 * 60 * 60 * 1000
const pruneEvery = 10 * 60 * 1000

/** Rows of one statement: short enough that nobody waits for its locks. */
export const pruningPortion = 5_000

// By where the rows lie, so that each is looked at once; several processes at it at the same time do no harm.
const deleteOld = (table: string, time: string): Statement<{ count: number }> =>
  statement(
    `prune ${table}`,
    `with gone as (
       delete from ${table} where ${time} < $1 and ctid = any(array(
         select ctid from ${table} where ${time} < $1 limit $2 for update skip locked))
       returning 1)
     select count(*)::int as count from gone`,
  )

const deletions = [deleteOld('transactions', 'created'), deleteOld('incoming_transactions', 'received_at')]

/** Prunes now and then until it is closed. A failure is logged, and the next time tries again. */
export function createTransactionPruning(ctx: Pick<Context, 'database' | 'clock' | 'log'>): TransactionPruning {
  let isClosed = false
  let underWay: Promise<number> | undefined

  async function pruneAll(): Promise<number> {
    const before = ctx.clock.now() - transactionLifetime
    let total = 0
    for (const deletion of deletions) {
      while (!isClosed) {
        const [row] = await ctx.database.read(deletion, [before, pruningPortion])
        total += row!.count
        if (row!.count < pruningPortion) break
      }
    }
    return total
  }

  const prune = (): Promise<number> => {
    underWay ??= pruneAll().finally(() => (underWay = undefined))
    return underWay
  }
  const attempt = (): Promise<unknown> =>
    prune().catch((error: unknown) => ctx.log.warn({ err: error }, 'Old transaction ids could not be deleted'))
  const timer = setInterval(attempt, pruneEvery)
  timer.unref()

  return {
    prune,
    async close() {
      isClosed = true
      clearInterval(timer)
      await underWay?.catch(() => undefined)
    },
  }
}
