/** What a load brought: how long each piece of work took, in milliseconds, and the seconds of all of it. */
export type Load = { readonly samples: readonly number[]; readonly seconds: number }

/** Does all jobs, at most `width` of them at once. */
export async function inParallel(width: number, jobs: readonly (() => Promise<unknown>)[]): Promise<Load> {
  const samples: number[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let job = jobs[next++]; job; job = jobs[next++]) {
      const started = performance.now()
      await job()
      samples.push(performance.now() - started)
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: width }, work))
  return { samples, seconds: (performance.now() - started) / 1000 }
}

/** Closed loop: each worker begins anew when it is done, for as long as it lasts. That shows what a server can do. */
export async function closedLoop(
  seconds: number,
  workers: readonly ((round: number) => Promise<unknown>)[],
): Promise<Load> {
  const samples: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  const loop = async (work: (round: number) => Promise<unknown>): Promise<void> => {
    for (let round = 0; performance.now() < end; round++) {
      const began = performance.now()
      await work(round)
      samples.push(performance.now() - began)
    }
  }
  await Promise.all(workers.map(loop))
  return { samples, seconds: (performance.now() - started) / 1000 }
}

/** Work that may wait for its turn at once; what comes later is not begun at all, and missing from the rate. */
const mostOutstanding = 2000

/**
 * Open loop: work begins when it is due, however the server is doing, and is measured from then. That shows how long people
 * wait at a rate.
 *
 * @param rate in pieces of work a second.
 */
export async function openLoop(
  rate: number,
  seconds: number,
  work: (round: number) => Promise<unknown>,
): Promise<Load> {
  const samples: number[] = []
  const underWay = new Set<Promise<void>>()
  const started = performance.now()
  const count = Math.floor(rate * seconds)
  for (let round = 0; round < count; round++) {
    const due = started + (round * 1000) / rate
    const early = due - performance.now()
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
    if (underWay.size >= mostOutstanding) continue
    const done = work(round).then(() => {
      samples.push(performance.now() - due)
      underWay.delete(done)
    })
    underWay.add(done)
  }
  await Promise.all(underWay)
  return { samples, seconds: (performance.now() - started) / 1000 }
}
