import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { upTo } from '../storage/caches.ts'
import type { ToldMembers } from './room-states.ts'
import { buildSync, type SyncRequest } from './sync.ts'

/** Which members each device has been told of, for lazy loading; forgotten ones are told again, which does no harm. */
const toldMembers = new WeakMap<Context, LRUCache<string, Map<number, Set<number>>>>()

const devicesMax = 20_000
const toldMax = 2000

/**
 * Answers a sync: at once when there is something to tell, or else as soon as there is, but after `timeout` milliseconds
 * at the latest, or when the process begins to stop.
 *
 * @param gone Aborted when the client has gone away.
 */
export async function waitForSync(
  ctx: Context,
  request: SyncRequest,
  timeout: number,
  gone: AbortSignal,
): Promise<readonly string[]> {
  const { reader, since } = request
  const deadline = ctx.clock.monotonic() + timeout
  // Another process may have given out the token.
  if (since && since.position > ctx.stream.position) await ctx.stream.catchUp()
  const told = toldBy(ctx, reader.deviceId, reader.userNid, since === undefined)
  for (;;) {
    const session = await ctx.sessions.of(reader)
    const seen = ctx.stream.position
    const answer = await buildSync(ctx, session, request, told)
    const left = deadline - ctx.clock.monotonic()
    if (!answer.isEmpty || since === undefined || request.fullState || left <= 0) return answer.fragments
    if (gone.aborted || ctx.closing.aborted) return answer.fragments
    await wokenUp(ctx, session.waiters, seen, left, gone)
  }
}

/** Resolves when something for the user was committed after `seen`, or time is up. */
export function wokenUp(
  ctx: Pick<Context, 'stream' | 'closing'>,
  waiters: Set<() => void>,
  seen: number,
  milliseconds: number,
  gone: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds)
    waiters.add(done)
    gone.addEventListener('abort', done)
    ctx.closing.addEventListener('abort', done)
    // Committed while the answer was being built.
    if (ctx.stream.position > seen) done()

    function done(): void {
      clearTimeout(timer)
      waiters.delete(done)
      gone.removeEventListener('abort', done)
      ctx.closing.removeEventListener('abort', done)
      resolve()
    }
  })
}

function toldBy(ctx: Context, deviceId: string, userNid: number, anew: boolean): ToldMembers {
  let devices = toldMembers.get(ctx)
  if (!devices) toldMembers.set(ctx, (devices = new LRUCache(upTo(devicesMax))))
  const key = `${userNid} ${deviceId}`
  let rooms = devices.get(key)
  if (!rooms || anew) devices.set(key, (rooms = new Map()))
  const known = rooms
  return {
    told: (room, user) => known.get(room)?.has(user) ?? false,
    tell(room, user) {
      let users = known.get(room)
      if (!users || users.size >= toldMax) known.set(room, (users = new Set()))
      users.add(user)
    },
  }
}
