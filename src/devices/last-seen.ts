import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Database } from '../storage/database.ts'
import { type SeenRow, updateLastSeen } from '../storage/devices.ts'

/** When and from where each device was last seen: gathered in memory, written now and then. */
export type LastSeen = {
  note(userNid: number, deviceId: string, ip: string, agent: string | undefined): void
  /** Writes what was gathered. */
  flush(): Promise<void>
  close(): Promise<void>
}

const writeEvery = 30_000
const maxPending = 100_000

/** A crash loses at most the last half minute of this, which nothing depends on. */
export function createLastSeen(ctx: { database: Database; clock: Clock; log: Logger }): LastSeen {
  const pending = new Map<number, Map<string, SeenRow>>()
  let size = 0
  const timer = setInterval(() => void flush(), writeEvery)
  timer.unref()

  async function flush(): Promise<void> {
    const rows = [...pending.values()].flatMap((devices) => [...devices.values()])
    pending.clear()
    size = 0
    if (rows.length === 0) return
    try {
      await updateLastSeen(ctx.database, rows)
    } catch (error) {
      ctx.log.warn({ err: error }, 'When devices were last seen could not be written')
    }
  }

  return {
    note(userNid, deviceId, ip, agent) {
      let devices = pending.get(userNid)
      if (devices === undefined) pending.set(userNid, (devices = new Map()))
      const seen = devices.get(deviceId)
      if (seen !== undefined) {
        seen.at = ctx.clock.now()
        seen.ip = ip
        seen.agent = agent?.slice(0, 200) ?? null
        return
      }
      if (size >= maxPending) return
      size++
      devices.set(deviceId, { userNid, deviceId, at: ctx.clock.now(), ip, agent: agent?.slice(0, 200) ?? null })
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
