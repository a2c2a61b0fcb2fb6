import type { Context } from '../context.ts'
import type { Fact } from '../storage/facts.ts'

/** What was committed lately, for followers who take it when they are ready. */
export type RecentFacts = {
  /** Between two positions, from memory where it goes back far enough. */
  between(after: number, upTo: number): Promise<readonly Fact[]>
}

const remembered = 5_000

export function createRecentFacts(ctx: Pick<Context, 'stream' | 'readFacts'>): RecentFacts {
  let facts: Fact[] = []
  /** Memory holds everything after this. */
  let completeAfter = ctx.stream.position
  ctx.stream.follow((told) => {
    for (const fact of told) facts.push(fact)
    if (facts.length <= 2 * remembered) return
    facts = facts.slice(-remembered)
    // The first may have been told with others of its position that are gone.
    completeAfter = facts[0]!.position
  })
  return {
    async between(after, upTo) {
      if (after < completeAfter) return ctx.readFacts(after, upTo)
      return facts.filter(({ position }) => position > after && position <= upTo)
    },
  }
}
