import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { BenchClient } from '../client.ts'
import { inParallel } from '../load.ts'
import { residentMiB } from '../measure.ts'
import { api, createRoom, type Workload } from './workload.ts'

/** A request on a bare socket: a client library would take more memory than the server. */
async function park(user: BenchClient): Promise<Socket> {
  const { next_batch: since } = await user.get(`${api}/sync`)
  const { hostname, port } = new URL(user.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write(
    `GET ${api}/sync?timeout=600000&since=${since} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${user.token}\r\n\r\n`,
  )
  return socket
}

const parked: Workload = {
  name: 'parked-polls',
  title: ({ scaled }) => `${scaled(10_000, 500)} users wait, each in a room of its own; bytes: memory for each`,
  each: 'wait',
  async run(bench) {
    const users = await bench.users('p', bench.scaled(10_000, 500))
    await inParallel(
      8,
      users.map((user) => () => createRoom(user)),
    )
    await bench.settled()
    const before = residentMiB(bench.server.pids.server)
    const sockets: Socket[] = []
    try {
      const jobs = users.map((user) => async () => {
        sockets.push(await park(user))
      })
      const figures = await bench.measure(() => inParallel(16, jobs))
      await bench.settled()
      const memory = residentMiB(bench.server.pids.server)
      return { ...figures, memory, bytes: ((memory - before) * 1_048_576) / users.length }
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  },
}

export const polls: readonly Workload[] = [parked]
