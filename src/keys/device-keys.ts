import type { Context } from '../context.ts'
import type { Invalidated } from '../invalidation.ts'
import { upTo } from '../storage/caches.ts'
import { keyCountsOf } from '../storage/one-time-keys.ts'
import { type Announcer, announceLeftChanges } from './device-list-changes.ts'
import { noRemoteKeys, type RemoteKeys } from './ports.ts'
import { createPublishedKeys, type PublishedKeyStore } from './published-keys.ts'

type Device = { readonly userNid: number; readonly deviceId: string | undefined }

/** What a device has uploaded for others to encrypt to it with. */
export type DeviceKeys = {
  /**
   * How many one-time keys of a device are left, by algorithm, and for which algorithms its fallback key is unused.
   * Remembered, so that a warm sync costs no statement.
   */
  counts(device: Device): Promise<KeyCounts>
  /** Keys of a device came or went: every process looks again. Call it after the commit. */
  changed(device: Device): void
  /** What users show to others. */
  readonly published: PublishedKeyStore
  /** Resolves once what a process that died left to announce is announced. */
  readonly recovered: Promise<void>
  readonly remote: RemoteKeys
  /** Federation says how keys of other servers' users are had. */
  useRemote(remote: RemoteKeys): void
}

export type KeyCounts = {
  /** Always with `signed_curve25519`. */
  readonly oneTime: { readonly [algorithm: string]: number }
  readonly unusedFallback: readonly string[]
}

const devicesMax = 100_000

const none: KeyCounts = { oneTime: { signed_curve25519: 0 }, unusedFallback: [] }

export function createDeviceKeys(
  ctx: Announcer & Pick<Context, 'caches' | 'invalidations' | 'stream' | 'log'>,
): DeviceKeys {
  // A promise that is no longer here when it resolves was overtaken by a change, and is not put back.
  const known = ctx.caches.lru<string, Promise<KeyCounts>>('key counts', upTo(devicesMax))
  const published = createPublishedKeys(ctx)
  let remote = noRemoteKeys
  const recovered = announceLeftChanges(ctx).catch((error: unknown) =>
    ctx.log.warn({ err: error }, 'Device lists are not announced yet'),
  )

  ctx.invalidations.subscribe('device-keys', (key: Invalidated) => {
    if (key === undefined) known.clear()
    else known.delete(key)
  })

  const load = async (device: Device): Promise<KeyCounts> => {
    const rows = await ctx.database.read(keyCountsOf, [device.userNid, device.deviceId])
    const oneTime = new Map<string, number>([['signed_curve25519', 0]])
    for (const row of rows) if (row.unclaimed > 0) oneTime.set(row.algorithm, row.unclaimed)
    const unusedFallback = rows.filter((row) => row.unused_fallback).map((row) => row.algorithm)
    return { oneTime: countsObject(oneTime), unusedFallback }
  }

  return {
    counts(device) {
      if (device.deviceId === undefined) return Promise.resolve(none)
      // Changes made by other processes are not heard of, so nothing remembered can be trusted.
      if (!ctx.invalidations.connected) return load(device)
      const key = keyOf(device)
      let counts = known.get(key)
      if (counts === undefined) {
        const loading = load(device)
        counts = loading
        known.set(key, loading)
        loading.catch(() => {
          if (known.peek(key) === loading) known.delete(key)
        })
      }
      return counts
    },
    changed: (device) => ctx.invalidations.publish('device-keys', keyOf(device)),
    published,
    recovered,
    get remote() {
      return remote
    },
    useRemote(given) {
      remote = given
    },
  }
}

/** Clients name algorithms as they like, `__proto__` too. */
export function countsObject(counts: ReadonlyMap<string, number>): { [algorithm: string]: number } {
  const object: { [algorithm: string]: number } = Object.create(null)
  object.signed_curve25519 = 0
  for (const [algorithm, count] of counts) object[algorithm] = count
  return object
}

function keyOf(device: Device): string {
  return `${device.userNid} ${device.deviceId}`
}
