import type { RoomId } from '../../src/matrix/ids.ts'
import type { BenchClient, Body } from '../client.ts'
import { type Peers, startPeers } from '../federation/peer.ts'
import { openLoop } from '../load.ts'
import { api, type Bench, createRoom, inRoom, type Workload } from './workload.ts'

const perTransaction = 50
/** Transactions that are sent before the first of them can be seen. */
const ahead = 3
/** Of a room version that all servers have. */
const roomVersion = { room_version: '11' }

function peersOf(bench: Bench, count: number): Promise<Peers> {
  const { federation, urls } = bench.server
  if (federation === undefined) throw new Error('The server is not set up for federation')
  return startPeers(count, { url: urls[0]!, serverName: federation.serverName }, federation.authority)
}

/** Milliseconds that a server may take until its users see what it was sent. */
const patience = 120_000

/** What a user of the server sees, by a sync that waits: asking again and again would be a load of its own. */
class Watcher {
  readonly #waiting = new Map<string, () => void>()
  readonly #running: Promise<void>
  #isOver = false

  constructor(reader: BenchClient, since: string) {
    this.#running = this.#follow(reader, since)
  }

  /** Resolves once the event is there; rejects when it does not come. */
  seen(eventId: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('What a peer pushed is not seen')), patience)
      this.#waiting.set(eventId, () => {
        clearTimeout(late)
        resolve()
      })
    })
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  /** With everything that was waited for before: a sync leaves out what is too much for it. */
  #sees(eventId: string): void {
    if (!this.#waiting.has(eventId)) return
    for (const [earlier, resolve] of this.#waiting) {
      this.#waiting.delete(earlier)
      resolve()
      if (earlier === eventId) return
    }
  }

  async #follow(reader: BenchClient, from: string): Promise<void> {
    const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }))
    for (let since = from; !this.#isOver; ) {
      const answer = await reader.get(`${api}/sync?timeout=1000&filter=${filter}&since=${since}`)
      since = answer.next_batch
      const rooms: Body[] = Object.values(answer.rooms?.join ?? {})
      for (const { timeline } of rooms) for (const { event_id: eventId } of timeline.events) this.#sees(eventId)
    }
  }
}

const inbound: Workload = {
  name: 'federation-inbound',
  title: () => `a peer pushes transactions of ${perTransaction} events into one room; time until they are seen`,
  each: 'event',
  aims: [
    { figure: 'rate', times: 100 },
    { figure: 'cpu', times: 60 },
  ],
  async run(bench) {
    const [reader] = await bench.users('r', 1)
    const roomId = await createRoom(reader!, roomVersion)
    await using peers = await peersOf(bench, 1)
    const [peer] = peers.all
    const room = await peer!.join(roomId as RoomId)
    const watcher = new Watcher(reader!, (await reader!.get(`${api}/sync`)).next_batch)
    const push = async (seconds: number): Promise<{ samples: number[]; seconds: number; transactions: number }> => {
      const samples: number[] = []
      const started = performance.now()
      const visible: Promise<void>[] = []
      while (performance.now() < started + seconds * 1000) {
        const events = room.messages(perTransaction)
        const began = performance.now()
        const isSeen = watcher.seen(events.at(-1)!.eventId).then(() => {
          samples.push(performance.now() - began)
        })
        visible.push(isSeen)
        // Where it fails while something else is awaited, it does when it is.
        isSeen.catch(() => {})
        await peer!.send(events)
        await visible.at(-ahead)
      }
      await Promise.all(visible)
      return { samples, seconds: (performance.now() - started) / 1000, transactions: visible.length }
    }
    try {
      await push(bench.seconds / 8)
      let count = 0
      return await bench.measure(
        async () => {
          const load = await push(bench.seconds)
          count = load.transactions * perTransaction
          return load
        },
        { count: () => count },
      )
    } finally {
      await watcher.close().catch(() => {})
    }
  },
}

const rate = 100
const hanging = 10

const outbound: Workload = {
  name: 'federation-outbound',
  title: ({ scaled }) =>
    `${rate} events a second are due to ${scaled(50, 20)} peers, of which ${hanging} hang; time until another has it`,
  each: 'delivery',
  async run(bench) {
    const [sender] = await bench.users('o', 1)
    const roomId = await createRoom(sender!, roomVersion)
    await using peers = await peersOf(bench, bench.scaled(50, 20))
    for (const peer of peers.all) await peer.join(roomId as RoomId)
    for (const peer of peers.all.slice(0, hanging)) peer.hangs = true
    const dueAt = new Map<string, number>()
    const samples: number[] = []
    let all = Number.POSITIVE_INFINITY
    const { promise: arrived, resolve } = Promise.withResolvers<void>()
    for (const peer of peers.all.slice(hanging)) {
      peer.onEvent = ({ type, content }) => {
        const due = type === 'm.room.message' ? dueAt.get(String(content.body)) : undefined
        if (due === undefined) return
        samples.push(performance.now() - due)
        if (samples.length >= all) resolve()
      }
    }
    await bench.settled()
    // Awaited here, while the peers are there.
    return await bench.measure(async () => {
      const started = performance.now()
      const { samples: sent } = await openLoop(rate, bench.seconds, (round) => {
        const body = `${bench.tag} ${round}`
        dueAt.set(body, performance.now())
        return sender!.put(inRoom(roomId, `send/m.room.message/o${round}`), { msgtype: 'm.text', body })
      })
      all = sent.length * (peers.all.length - hanging)
      if (samples.length < all) {
        const late = AbortSignal.timeout(patience)
        await Promise.race([arrived, new Promise((done) => late.addEventListener('abort', done))])
      }
      return { samples, seconds: (performance.now() - started) / 1000 }
    })
  },
}

export const federation: readonly Workload[] = [inbound, outbound]
