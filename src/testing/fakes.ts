import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { type Random, randomFrom } from '../random.ts'

export type FakeClock = Clock & { advance(milliseconds: number): void }

/** A clock that stands still until it is told to go on. */
export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0
  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    advance(milliseconds) {
      elapsed += milliseconds
    },
  }
}

/** The same bytes for the same seed. Servers that share a database need different seeds. */
export function createFakeRandom(seed: string): Random {
  let counter = 0
  return randomFrom((count) => {
    const blocks: Buffer[] = []
    for (let length = 0; length < count; length += 32) {
      blocks.push(createHash('sha256').update(`${seed} ${counter++}`).digest())
    }
    return Buffer.concat(blocks).subarray(0, count)
  })
}
