import type { Context } from '../context.ts'
import type { Fact } from '../storage/facts.ts'
import { saveProfileChanges } from '../storage/profile-changes.ts'

/** When profiles of our users changed. Spec: MSC4429. */
export type ProfileUpdates = {
  /** Tells those who want to know that a field of a profile has another value now, or none. */
  changed(userNid: number, field: string): Promise<void>
  /** Whether anybody may have changed one of some fields after a position: if not, nothing has to be read. */
  mayHave(fields: readonly string[], after: number): boolean
}

/** Names of fields that are remembered; there are few that are used. */
const mostFields = 10_000

export function createProfileUpdates(ctx: Pick<Context, 'writer' | 'stream'>): ProfileUpdates {
  /** By field the position of its last change by anybody; of what is not here nothing is known up to `unknownUpTo`. */
  const last = new Map<string, number>()
  let unknownUpTo = ctx.stream.position
  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind !== 'profile') continue
      last.set(fact.field, fact.position)
      if (last.size <= mostFields) continue
      last.clear()
      unknownUpTo = fact.position
    }
  })
  return {
    async changed(userNid, field) {
      await ctx.writer.write({
        positions: 1,
        write(batch, position) {
          batch.add(saveProfileChanges, { user_nid: userNid, field, position })
          batch.fact({ kind: 'profile', position, userNid, field } satisfies Fact)
        },
      })
    },
    mayHave: (fields, after) => after < unknownUpTo || fields.some((field) => (last.get(field) ?? 0) > after),
  }
}
