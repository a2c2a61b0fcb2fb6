import { closedLoop, inParallel, openLoop } from '../load.ts'
import { type Bench, createRoom, join, say, type Workload } from './workload.ts'

type Send = (round: number) => Promise<unknown>

/** Senders, each in the room of its turn. */
async function senders(bench: Bench, count: number, rooms: number): Promise<Send[]> {
  const users = await bench.users('s', count)
  const roomIds = await Promise.all(users.slice(0, rooms).map((user) => createRoom(user)))
  const late = users.slice(rooms).map((user, index) => () => join(user, roomIds[index % rooms]!))
  await inParallel(8, late)
  return users.map((user, index) => (round) => say(user, roomIds[index % rooms]!, `message ${round} of a benchmark`))
}

function closed(name: string, title: string, count: number, rooms: number, aims: Workload['aims'] = []): Workload {
  return {
    name,
    title: () => title,
    each: 'message',
    aims,
    async run(bench) {
      const workers = await senders(bench, count, rooms)
      await closedLoop(bench.seconds / 4, workers)
      return bench.measure(() => closedLoop(bench.seconds, workers))
    },
  }
}

function open(rate: number): Workload {
  return {
    name: `send-open-${rate}`,
    title: () => `send, ${rate} a second are due, from 32 senders in 32 rooms`,
    each: 'message',
    connections: 256,
    async run(bench) {
      const workers = await senders(bench, 32, 32)
      await closedLoop(1, workers)
      const work = (round: number) => workers[round % workers.length]!(round)
      return bench.measure(() => openLoop(rate, bench.seconds, work))
    },
  }
}

const bytes: Workload = {
  name: 'send-bytes',
  title: ({ scaled }) => `bytes on disk, of ${scaled(5000, 1000)} messages in 32 rooms`,
  each: 'message',
  aims: [{ figure: 'bytes', times: 5 }],
  async run(bench) {
    const workers = await senders(bench, 32, 32)
    const count = bench.scaled(5000, 1000)
    const jobs = Array.from({ length: count }, (_, index) => () => workers[index % workers.length]!(index))
    // What takes its first page does so here.
    await inParallel(32, jobs.slice(0, count / 10))
    await bench.settled()
    const before = await bench.server.databaseBytes?.()
    const figures = await bench.measure(() => inParallel(32, jobs))
    await bench.settled()
    const after = await bench.server.databaseBytes?.()
    return before === undefined || after === undefined ? figures : { ...figures, bytes: (after - before) / count }
  },
}

export const sending: readonly Workload[] = [
  closed('send-many-rooms', 'send, 32 senders in 32 rooms', 32, 32, [
    { figure: 'rate', times: 60 },
    { figure: 'cpu', times: 60 },
  ]),
  closed('send-one-room', 'send, 16 senders in one room', 16, 1, [{ figure: 'rate', times: 40 }]),
  closed('send-serial', 'send, one at a time', 1, 1, [{ figure: 'p50', atMost: 1 }]),
  open(25),
  open(1000),
  bytes,
]
