/** Choices that are the same for the same seed. */
export type Dice = {
  /** An integer from 0, less than `count`. */
  below(count: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

export function createDice(seed: number): Dice {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  // Marsaglia's xorshift after a multiplicative step: good enough to choose with, and needs no more than one integer.
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return Math.imul(state, 0x2545f491) >>> 0
  }
  if (state === 0) state = 1
  next()
  const below = (count: number): number => Math.floor((next() / 2 ** 32) * count)
  return { below, chance: (probability) => next() / 2 ** 32 < probability, pick: (from) => from[below(from.length)]! }
}
