import type { Context } from '../context.ts'
import { statement } from '../storage/database.ts'

/** When and from where a device was last seen. */
export type Connection = { readonly ip: string; readonly last_seen: number; readonly user_agent?: string }

const lastConnections = statement<{
  device_id: string
  last_seen_at: number | null
  last_seen_ip: string | null
  last_seen_agent: string | null
}>(
  'last connections',
  'select device_id, last_seen_at, last_seen_ip, last_seen_agent from devices where user_nid = $1 order by created_at',
)

/** The devices of a user, each with its last connection if it had one. */
export async function connectionsOf(
  ctx: Pick<Context, 'database' | 'lastSeen'>,
  userNid: number,
): Promise<Map<string, Connection | undefined>> {
  await ctx.lastSeen.flush()
  const rows = await ctx.database.read(lastConnections, [userNid])
  return new Map(
    rows.map((row) => {
      if (row.last_seen_at === null || row.last_seen_ip === null) return [row.device_id, undefined]
      const seen = { ip: row.last_seen_ip, last_seen: row.last_seen_at }
      return [row.device_id, row.last_seen_agent === null ? seen : { ...seen, user_agent: row.last_seen_agent }]
    }),
  )
}
