import { closedLoop, inParallel, type Load } from '../load.ts'
import { createRoom, inRoom, join, say, type Workload } from './workload.ts'

const creating: Workload = {
  name: 'create-room',
  title: () => 'create a room, 8 at a time',
  each: 'room',
  aims: [{ figure: 'rate', times: 35 }],
  async run(bench) {
    const owners = await bench.users('c', 8)
    const workers = owners.map((owner) => () => createRoom(owner))
    await closedLoop(bench.seconds / 8, workers)
    return bench.measure(() => closedLoop(bench.seconds, workers))
  },
}

const joining: Workload = {
  name: 'join-room',
  title: ({ scaled }) => `join a room of ${scaled(300, 200)} members, 8 at a time`,
  each: 'join',
  aims: [{ figure: 'rate', times: 40 }],
  async run(bench) {
    const before = bench.scaled(300, 200)
    const users = await bench.users('j', before + 100)
    const roomId = await createRoom(users[0]!)
    const jobs = users.slice(1).map((user) => () => join(user, roomId))
    await inParallel(8, jobs.slice(0, before - 1))
    return bench.measure(() => inParallel(8, jobs.slice(before - 1)))
  },
}

const members: Workload = {
  name: 'members',
  title: ({ scaled }) => `members of a room of ${scaled(10_000, 300)}`,
  each: 'request',
  async run(bench) {
    const users = await bench.users('m', bench.scaled(10_000, 300))
    const roomId = await createRoom(users[0]!)
    await inParallel(
      8,
      users.slice(1).map((user) => () => join(user, roomId)),
    )
    const job = () => users[0]!.get(inRoom(roomId, 'members'))
    await closedLoop(bench.seconds / 4, [job])
    return bench.measure(() => closedLoop(bench.seconds / 2, [job]))
  },
}

const history: Workload = {
  name: 'history',
  title: ({ scaled }) => `back through a room of ${scaled(20_000, 1000)} messages, 100 at a time`,
  each: 'page',
  async run(bench) {
    const users = await bench.users('h', 8)
    const roomId = await createRoom(users[0]!)
    for (const user of users.slice(1)) await join(user, roomId)
    const count = bench.scaled(20_000, 1000)
    await inParallel(
      16,
      Array.from({ length: count }, (_, index) => () => say(users[index % 8]!, roomId)),
    )
    const readBack = async (): Promise<Load> => {
      const samples: number[] = []
      const started = performance.now()
      let from: string | undefined
      do {
        const began = performance.now()
        const page = await users[0]!.get(inRoom(roomId, `messages?dir=b&limit=100${from ? `&from=${from}` : ''}`))
        samples.push(performance.now() - began)
        from = page.chunk.length === 0 ? undefined : page.end
      } while (from !== undefined)
      return { samples, seconds: (performance.now() - started) / 1000 }
    }
    await readBack()
    return bench.measure(readBack)
  },
}

export const rooms: readonly Workload[] = [creating, joining, members, history]
