/** What files are read and written in at once: the way to the file system costs more than copying. */
const bytesAtOnce = 256 * 1024
const mostSpare = 32

/**
 * Buffers that go from one file to the next. Memory outside of JavaScript's heap makes the collector look through all of that heap
 * for every 32 MB or so, which would cost more than the files themselves.
 */
export type SpareBuffers = {
  take(): Buffer
  /** Nobody may read or write it any more. A buffer that is not given back is left to the collector. */
  giveBack(buffer: Buffer): void
}

export function createSpareBuffers(): SpareBuffers {
  const spare: Buffer[] = []
  return {
    take: () => spare.pop() ?? Buffer.allocUnsafeSlow(bytesAtOnce),
    giveBack(buffer) {
      if (spare.length < mostSpare) spare.push(buffer)
    },
  }
}
