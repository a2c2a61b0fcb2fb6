import type { Context } from '../context.ts'
import { oneAccountData } from '../storage/user-data.ts'
import { type AccountDataKey, accountDataUnit } from './account-data.ts'

/**
 * Changes of account data that depend on what is there, as of a list of which one entry changes: one after the other, in all
 * processes together, so that none is lost.
 */
export type AccountDataChanges = {
  /**
   * @param edit Gets the content as it is, JSON text, or undefined where there is none, and gives it as it shall be; what it
   *   gives back as it was, and undefined, is not written.
   * @throws whatever `edit` throws.
   */
  change(key: AccountDataKey, edit: (content: string | undefined) => string | undefined): Promise<void>
}

const lock = `select pg_advisory_xact_lock(hashtextextended('chappe account data ' || $1, 0))`

export function createAccountDataChanges(ctx: Pick<Context, 'database' | 'writer'>): AccountDataChanges {
  /** In one process they wait for one another here, where it takes no connection to the database. */
  const latest = new Map<string, Promise<void>>()

  const changeAlone = (name: string, key: AccountDataKey, edit: (content: string | undefined) => string | undefined) =>
    ctx.database.transaction(async (query) => {
      await query(lock, [name])
      const [row] = await query<{ content: string }>(oneAccountData.text, [key.userNid, key.room, key.type])
      const content = edit(row?.content)
      // By a connection of its own, and committed before the lock is given up with this transaction.
      if (content !== undefined && content !== row?.content) await ctx.writer.write(accountDataUnit(key, content))
    })

  return {
    async change(key, edit) {
      const name = `${key.userNid} ${key.room} ${key.type}`
      const before = latest.get(name) ?? Promise.resolve()
      const mine = before.catch(() => {}).then(() => changeAlone(name, key, edit))
      latest.set(name, mine)
      try {
        await mine
      } finally {
        if (latest.get(name) === mine) latest.delete(name)
      }
    },
  }
}
