import { Readable } from 'node:stream'
import { request } from 'undici'
import type { BenchClient } from '../client.ts'
import { closedLoop, inParallel } from '../load.ts'
import { residentMiB } from '../measure.ts'
import type { Bench, Figures, Workload } from './workload.ts'

const chunk = Buffer.alloc(65_536, 'a medium of the benchmark ')

async function upload(user: BenchClient, bytes: number): Promise<string> {
  const answer = await request(`${user.url}/_matrix/media/v3/upload?filename=file.bin`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${user.token}`,
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
    },
    body: Readable.from(chunks(bytes)),
    headersTimeout: 120_000,
  })
  const { content_uri: uri } = (await answer.body.json()) as { content_uri: string }
  return uri.slice('mxc://'.length)
}

function* chunks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= chunk.length) yield left < chunk.length ? chunk.subarray(0, left) : chunk
}

async function download(user: BenchClient, medium: string): Promise<void> {
  const answer = await request(`${user.url}/_matrix/client/v1/media/download/${medium}`, {
    headers: { authorization: `Bearer ${user.token}` },
  })
  if (answer.statusCode !== 200) throw new Error(`The medium is not there: ${answer.statusCode}`)
  for await (const _ of answer.body);
}

/** Figures with the most memory, in bytes beyond what there was, that the server took meanwhile. */
async function watchingMemory(bench: Bench, work: () => Promise<Figures>): Promise<Figures> {
  const { server } = bench.server.pids
  if (server.length === 0) return work()
  const before = residentMiB(server)
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, residentMiB(server))
  }, 20)
  const figures = await work()
  clearInterval(timer)
  return { ...figures, bytes: (most - before) * 1_048_576 }
}

const small: Workload = {
  name: 'media-small',
  title: () => 'upload 10 KB and download it, 8 at a time',
  each: 'both',
  async run(bench) {
    const users = await bench.users('m', 8)
    const workers = users.map((user) => async () => download(user, await upload(user, 10_000)))
    await closedLoop(1, workers)
    return bench.measure(() => closedLoop(bench.seconds / 2, workers))
  },
}

const largeBytes = 100_000_000

const largeUp: Workload = {
  name: 'media-upload',
  title: () => 'upload 100 MB; bytes: memory it takes meanwhile',
  each: 'upload',
  async run(bench) {
    const [user] = await bench.users('m', 1)
    await upload(user!, 1_000_000)
    const job = () => upload(user!, largeBytes)
    return watchingMemory(bench, () => bench.measure(() => inParallel(1, Array(3).fill(job))))
  },
}

const largeDown: Workload = {
  name: 'media-download',
  title: () => 'download 100 MB; bytes: memory it takes meanwhile',
  each: 'download',
  async run(bench) {
    const [user] = await bench.users('m', 1)
    const medium = await upload(user!, largeBytes)
    const job = () => download(user!, medium)
    await bench.settled()
    return watchingMemory(bench, () => bench.measure(() => inParallel(1, Array(3).fill(job))))
  },
}

export const media: readonly Workload[] = [small, largeUp, largeDown]
