import { inParallel, type Load } from '../load.ts'
import { type Aim, api, createRoom, join, say, type Workload } from './workload.ts'

/** A message for whom many wait: until the last of them has it. */
function wake(readers: number, aims: readonly Aim[]): Workload {
  return {
    name: `wake-${readers}`,
    title: ({ scaled }) => `a message until the last of ${scaled(readers, 100)} waiting readers has it`,
    each: 'message',
    aims,
    connections: readers + 8,
    async run(bench) {
      const [owner, ...waiting] = await bench.users('w', bench.scaled(readers, 100) + 1)
      const roomId = await createRoom(owner!)
      await inParallel(
        8,
        waiting.map((user) => () => join(user, roomId)),
      )
      const since = new Map<string, string>()
      const first = waiting.map((user) => async () => {
        since.set(user.userId, (await user.get(`${api}/sync`)).next_batch)
      })
      await inParallel(16, first)
      const round = async (): Promise<{ samples: number[]; figures: Awaited<ReturnType<typeof bench.measure>> }> => {
        const arrived = waiting.map(async (user) => {
          const answer = await user.get(`${api}/sync?timeout=120000&since=${since.get(user.userId)}`)
          since.set(user.userId, answer.next_batch)
        })
        // No longer than they need to begin to wait: a processor that slept is slow at first.
        await bench.settled(100)
        let load: Load = { samples: [], seconds: 0 }
        const figures = await bench.measure(
          async () => {
            const started = performance.now()
            await say(owner!, roomId)
            await Promise.all(arrived)
            const took = performance.now() - started
            load = { samples: [took], seconds: took / 1000 }
            return load
          },
          { count: 1 },
        )
        return { samples: [...load.samples], figures }
      }
      for (let warm = 0; warm < 40; warm++) await round()
      const rounds = [await round(), await round(), await round(), await round(), await round()]
      const median = (of: (figures: (typeof rounds)[0]['figures']) => number | undefined): number =>
        rounds.map(({ figures }) => of(figures) ?? 0).toSorted((one, other) => one - other)[2]!
      return {
        ...rounds.at(-1)!.figures,
        p50: median(({ p50 }) => p50),
        p99: Math.max(...rounds.map(({ figures }) => figures.p99 ?? 0)),
        rate: median(({ rate }) => rate),
        serverCpu: median(({ serverCpu }) => serverCpu),
        databaseCpu: median(({ databaseCpu }) => databaseCpu),
        cpu: median(({ cpu }) => cpu),
      }
    },
  }
}

export const waking: readonly Workload[] = [
  wake(100, [
    { figure: 'p50', times: 25 },
    { figure: 'cpu', times: 30 },
  ]),
  wake(1000, []),
]
