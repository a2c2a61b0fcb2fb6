import { LRUCache } from 'lru-cache'

/** What the process remembers, each cache under a name, for those who watch. */
export type Caches = {
  /**
   * A cache that counts its look-ups by `get`; what is only to be looked at is asked for by `peek`.
   *
   * @param options `sizeIsBytes`: that `sizeCalculation` says bytes.
   */
  lru<Key extends object | string | number, Value extends object | string | number>(
    name: string,
    options: LRUCache.Options<Key, Value, unknown> & { sizeIsBytes?: boolean },
  ): LRUCache<Key, Value>
  /** A cache of another kind: whoever has it counts. */
  counted(name: string, entries: () => number, bytes?: () => number): LookUps
  figures(): readonly CacheFigures[]
}

export type LookUps = { hits: number; misses: number }

export type CacheFigures = LookUps & {
  readonly name: string
  readonly entries: number
  /** As the cache estimates them; undefined where it does not. */
  readonly bytes: number | undefined
}

/**
 * The bounds of a cache of so many entries, which takes memory for them as they come: with `max` it would take it for all of
 * them at once.
 */
export function upTo(entries: number): { maxSize: number; sizeCalculation(): number } {
  return { maxSize: entries, sizeCalculation: () => 1 }
}

export function createCaches(): Caches {
  const all = new Map<string, () => Omit<CacheFigures, 'name'>>()
  const add = (name: string, figures: () => Omit<CacheFigures, 'name'>): void => {
    if (all.has(name)) throw new Error(`there are two caches called ${name}`)
    all.set(name, figures)
  }
  return {
    lru<Key extends object | string | number, Value extends object | string | number>(
      name: string,
      { sizeIsBytes = false, ...options }: LRUCache.Options<Key, Value, unknown> & { sizeIsBytes?: boolean },
    ) {
      const cache = new CountedCache<Key, Value>(options)
      add(name, () => ({
        ...cache.lookUps,
        entries: cache.size,
        bytes: sizeIsBytes ? cache.calculatedSize : undefined,
      }))
      return cache
    },
    counted(name, entries, bytes) {
      const lookUps = { hits: 0, misses: 0 }
      add(name, () => ({ ...lookUps, entries: entries(), bytes: bytes?.() }))
      return lookUps
    },
    figures: () => [...all].map(([name, figures]) => ({ name, ...figures() })),
  }
}

class CountedCache<Key extends object | string | number, Value extends object | string | number> extends LRUCache<
  Key,
  Value
> {
  readonly lookUps: LookUps = { hits: 0, misses: 0 }

  override get(key: Key, options?: LRUCache.GetOptions<Key, Value, unknown>): Value | undefined {
    const value = super.get(key, options as LRUCache.GetOptions<Key, Value, unknown>)
    if (value === undefined) this.lookUps.misses++
    else this.lookUps.hits++
    return value
  }
}
