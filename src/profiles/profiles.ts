import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { upTo } from '../storage/caches.ts'
import { statement } from '../storage/database.ts'

/** The profiles of local users, the lately used ones in memory. */
export type Profiles = {
  /** All fields; an empty object for a user without a profile. */
  of(userNid: number): Promise<JsonObject>
}

const cached = 50_000

const selectProfile = statement<{ fields: string }>('profile', 'select fields from profiles where user_nid = $1')

export function createProfiles(ctx: Pick<Context, 'database' | 'caches' | 'invalidations' | 'dictionaries'>): Profiles {
  const profiles = ctx.caches.lru<number, JsonObject>('profiles', upTo(cached))
  let generation = 0
  ctx.invalidations.subscribe('user', (userId) => {
    generation++
    const userNid = userId === undefined ? undefined : ctx.dictionaries.cachedUser(userId as UserId)
    if (userNid === undefined) profiles.clear()
    else profiles.delete(userNid)
  })
  return {
    async of(userNid) {
      const known = profiles.get(userNid)
      if (known) return known
      const asked = generation
      const [row] = await ctx.database.read(selectProfile, [userNid])
      const fields = row ? (JSON.parse(row.fields) as JsonObject) : {}
      if (asked === generation) profiles.set(userNid, fields)
      return fields
    },
  }
}
