import { parseArgs } from 'node:util'
import { type BenchClient, type Connection, connect } from './client.ts'
import { cpuSeconds, latenciesOf, residentMiB } from './measure.ts'

/**
 * What a client does besides sending, each measured by itself on any Matrix server:
 *
 *   node bench/workloads.ts --url http://127.0.0.1:8008 --secret SECRET --pid PID [--only rooms]
 */
const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8008' },
    secret: { type: 'string', default: 'complement' },
    only: { type: 'string' },
    pid: { type: 'string', multiple: true, default: [] },
  },
})
const pids = values.pid.map(Number)
const run = Date.now().toString(36)
const api = '/_matrix/client/v3'
const at = (room: string, rest: string): string => `${api}/rooms/${encodeURIComponent(room)}/${rest}`

type Workload = (connection: Connection) => Promise<string>

async function users(connection: Connection, prefix: string, count: number): Promise<BenchClient[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}${run}-${index}`)
  const registered: BenchClient[] = []
  // A few at a time: hashing passwords is the slow part, and not what is measured.
  for (let first = 0; first < names.length; first += 8) {
    registered.push(...(await Promise.all(names.slice(first, first + 8).map((name) => connection.register(name)))))
  }
  return registered
}

async function room(owner: BenchClient): Promise<string> {
  return (await owner.post(`${api}/createRoom`, { preset: 'public_chat' })).room_id as string
}

/** Runs jobs with at most `width` under way, and says how long each took in milliseconds. */
async function inParallel(width: number, jobs: readonly (() => Promise<unknown>)[]): Promise<number[]> {
  const samples: number[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let job = jobs[next++]; job; job = jobs[next++]) {
      const started = performance.now()
      await job()
      samples.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  return samples
}

async function measured(count: number, work: () => Promise<number[]>): Promise<string> {
  const cpu = cpuSeconds(pids)
  const started = performance.now()
  const { p50, p99 } = latenciesOf(await work())
  const seconds = (performance.now() - started) / 1000
  const each = ((cpuSeconds(pids) - cpu) / count) * 1000
  return `${(count / seconds).toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, CPU ${each.toFixed(2)} ms each`
}

const workloads: { readonly [name: string]: Workload } = {
  async 'create rooms, 8 at a time'(connection) {
    const [owner] = await users(connection, 'create', 1)
    await room(owner!)
    return measured(100, () =>
      inParallel(
        8,
        Array(100).fill(() => room(owner!)),
      ),
    )
  },

  async 'join a room, 100 users after 200 others, 8 at a time'(connection) {
    const members = await users(connection, 'join', 301)
    const roomId = await room(members[0]!)
    const join = (user: BenchClient) => () => user.post(`${api}/join/${encodeURIComponent(roomId)}`)
    await inParallel(8, members.slice(1, 201).map(join))
    return measured(100, () => inParallel(8, members.slice(201).map(join)))
  },

  async 'wake 100 waiting readers'(connection) {
    const members = await users(connection, 'fan', 101)
    const [owner, ...readers] = members as [BenchClient, ...BenchClient[]]
    const roomId = await room(owner)
    await inParallel(
      8,
      readers.map((user) => () => user.post(`${api}/join/${encodeURIComponent(roomId)}`)),
    )
    const since = new Map<BenchClient, string>()
    for (const user of readers) since.set(user, (await user.get(`${api}/sync`)).next_batch)
    const last: number[] = []
    let cpu = 0
    for (let round = 0; round < 5; round++) {
      const waiting = readers.map(async (user) => {
        const answer = await user.get(`${api}/sync?timeout=30000&since=${since.get(user)}`)
        since.set(user, answer.next_batch)
      })
      // Until all of them wait.
      await new Promise((resolve) => setTimeout(resolve, 1500))
      const before = cpuSeconds(pids)
      const started = performance.now()
      await owner.put(at(roomId, `send/m.room.message/w${round}`), { msgtype: 'm.text', body: 'wake up' })
      await Promise.all(waiting)
      last.push(performance.now() - started)
      cpu += cpuSeconds(pids) - before
    }
    return `the last after ${latenciesOf(last).p50.toFixed(0)} ms, CPU ${(cpu * 200).toFixed(0)} ms a message`
  },

  async 'initial sync of 100 rooms'(connection) {
    const [owner, reader] = (await users(connection, 'initial', 2)) as [BenchClient, BenchClient]
    for (let index = 0; index < 100; index++) {
      const roomId = await room(owner)
      await reader.post(`${api}/join/${encodeURIComponent(roomId)}`)
      for (let count = 0; count < 5; count++) {
        await owner.put(at(roomId, `send/m.room.message/i${count}`), { msgtype: 'm.text', body: `message ${count}` })
      }
    }
    await reader.get(`${api}/sync`)
    // Another filter each time, so that no server answers from a cache of answers.
    const jobs = Array.from({ length: 10 }, (_, index) => () => {
      const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 10 + index } } }))
      return reader.get(`${api}/sync?filter=${filter}`)
    })
    return measured(10, () => inParallel(1, jobs))
  },

  async 'incremental sync with nothing new, 16 at a time'(connection) {
    const readers = await users(connection, 'idle', 16)
    const jobs: (() => Promise<unknown>)[] = []
    for (const user of readers) {
      await room(user)
      const { next_batch: since } = await user.get(`${api}/sync`)
      for (let count = 0; count < 200; count++) jobs.push(() => user.get(`${api}/sync?timeout=0&since=${since}`))
    }
    return measured(jobs.length, () => inParallel(16, jobs))
  },
}

const connection = connect({ url: values.url, sharedSecret: values.secret }, { connections: 128 })
for (const [name, workload] of Object.entries(workloads)) {
  if (values.only !== undefined && !name.includes(values.only)) continue
  console.log(`${name}: ${await workload(connection)}`)
}
if (pids.length > 0) console.log(`memory of the server: ${residentMiB(pids.slice(0, 1)).toFixed(0)} MiB`)
await connection.close()
