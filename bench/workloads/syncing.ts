import type { BenchClient, Body } from '../client.ts'
import { closedLoop, inParallel, type Load } from '../load.ts'
import { type Aim, api, type Bench, createRoom, join, say, type Workload } from './workload.ts'

async function roomsOf(user: BenchClient, count: number, messages: number): Promise<string[]> {
  const roomIds: string[] = []
  const jobs = Array.from({ length: count }, (_, index) => async () => {
    const roomId = await createRoom(user, { name: `Room ${index}` })
    roomIds[index] = roomId
    for (let message = 0; message < messages; message++) await say(user, roomId)
  })
  await inParallel(8, jobs)
  return roomIds
}

function initial(rooms: number, aims: readonly Aim[]): Workload {
  return {
    name: `initial-sync-${rooms}`,
    title: ({ scaled }) => `initial sync of ${scaled(rooms, 100)} rooms`,
    each: 'sync',
    aims,
    async run(bench) {
      const [reader] = await bench.users('i', 1)
      await roomsOf(reader!, bench.scaled(rooms, 100), 5)
      // Another filter each time, so that no server answers from a cache of answers.
      let turn = 0
      const ask = () => {
        const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 10 + turn++ } } }))
        return reader!.get(`${api}/sync?filter=${filter}`)
      }
      await closedLoop(bench.seconds / 2, [ask])
      return bench.measure(() => closedLoop(bench.seconds, [ask]))
    },
  }
}

const idle: Workload = {
  name: 'sync-idle',
  title: () => 'incremental sync with nothing new, 16 readers',
  each: 'sync',
  aims: [{ figure: 'rate', times: 5 }],
  async run(bench) {
    const readers = await bench.users('n', 16)
    const workers: (() => Promise<unknown>)[] = []
    for (const user of readers) {
      await createRoom(user)
      const { next_batch: since } = await user.get(`${api}/sync`)
      workers.push(() => user.get(`${api}/sync?timeout=0&since=${since}`))
    }
    await closedLoop(1, workers)
    return bench.measure(() => closedLoop(bench.seconds / 2, workers))
  },
}

const oneMessage: Workload = {
  name: 'sync-message',
  title: () => 'incremental sync of one message, by each of 16 readers, and a sixteenth of sending it',
  each: 'sync',
  async run(bench) {
    const [owner, ...readers] = await bench.users('m', 17)
    const roomId = await createRoom(owner!)
    for (const reader of readers) await join(reader, roomId)
    const since = new Map<BenchClient, string>()
    for (const reader of readers) since.set(reader, (await reader.get(`${api}/sync`)).next_batch)
    const asks = readers.map((reader) => async () => {
      const answer = await reader.get(`${api}/sync?timeout=30000&since=${since.get(reader)}`)
      since.set(reader, answer.next_batch)
    })
    return increments(bench, () => say(owner!, roomId), asks)
  },
}

/** Something happens, and then each asks for it, one after the other. */
async function increments(bench: Bench, happen: () => Promise<unknown>, asks: readonly (() => Promise<unknown>)[]) {
  const round = async (): Promise<Load> => {
    await happen()
    return inParallel(1, asks)
  }
  for (const end = performance.now() + bench.seconds * 250; performance.now() < end; ) await round()
  const end = performance.now() + bench.seconds * 500
  return bench.measure(async () => {
    let load: Load = { samples: [], seconds: 0 }
    while (performance.now() < end) {
      const { samples, seconds } = await round()
      load = { samples: [...load.samples, ...samples], seconds: load.seconds + seconds }
    }
    return load
  })
}

const slidingSync = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

/** What a client's list of rooms asks for. */
const windowed = {
  lists: {
    all: {
      ranges: [[0, 19]],
      timeline_limit: 1,
      required_state: [
        ['m.room.encryption', ''],
        ['m.room.topic', ''],
        ['m.room.member', '$LAZY'],
        ['m.room.member', '$ME'],
      ],
    },
  },
  extensions: { to_device: { enabled: true }, e2ee: { enabled: true }, account_data: { enabled: true } },
}

function ask(user: BenchClient, connection: string, pos: string | undefined, timeout: number): Promise<Body> {
  const query = `?timeout=${timeout}${pos === undefined ? '' : `&pos=${encodeURIComponent(pos)}`}`
  return user.post(slidingSync + query, { conn_id: connection, ...windowed })
}

function firstWindow(rooms: number, aims: readonly Aim[]): Workload {
  return {
    name: `sliding-first-${rooms}`,
    title: ({ scaled }) => `sliding sync, the first 20 of ${scaled(rooms, 50)} rooms`,
    each: 'sync',
    aims,
    async run(bench) {
      const [user] = await bench.users('f', 1)
      await roomsOf(user!, bench.scaled(rooms, 50), 1)
      const again = (round: number) => ask(user!, `c${round % 4}`, undefined, 0)
      await closedLoop(bench.seconds / 2, [again])
      return bench.measure(() => closedLoop(bench.seconds, [again]))
    },
  }
}

function oneEvent(rooms: number): Workload {
  const connections = 8
  return {
    name: `sliding-event-${rooms}`,
    title: ({ scaled }) =>
      `sliding sync of one message in one of ${scaled(rooms, 50)} rooms, on each of 8 connections, and an eighth of sending it`,
    each: 'sync',
    async run(bench) {
      const [user] = await bench.users('e', 1)
      const roomIds = await roomsOf(user!, bench.scaled(rooms, 50), 1)
      const positions: string[] = []
      for (let index = 0; index < connections; index++) {
        positions[index] = (await ask(user!, `c${index}`, undefined, 0)).pos
      }
      const asks = positions.map((_, index) => async () => {
        positions[index] = (await ask(user!, `c${index}`, positions[index], 30_000)).pos
      })
      let turn = 0
      return increments(bench, () => say(user!, roomIds.at(-1 - (turn++ % 10))!), asks)
    },
  }
}

export const syncing: readonly Workload[] = [
  initial(100, [{ figure: 'cpu', times: 40 }]),
  initial(1000, []),
  idle,
  oneMessage,
  firstWindow(100, [{ figure: 'cpu', times: 10 }]),
  firstWindow(5000, []),
  oneEvent(50),
  oneEvent(5000),
]
