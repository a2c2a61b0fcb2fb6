import type { Pdu } from '../../src/matrix/event.ts'
import type { RoomId } from '../../src/matrix/ids.ts'
import type { BenchClient, Body } from '../client.ts'
import { type Peer, type Peers, startPeers } from '../federation/peer.ts'
import { openLoop } from '../load.ts'
import { api, type Bench, createRoom, inRoom, type Workload } from './workload.ts'

const perTransaction = 50
/**
 * Transactions under way: the next is sent once all but the last before it are seen. Synapse drops what waits in a room as soon
 * as that is a hundred events, and asks for it again ten at a time: with one transaction more it never gets further.
 */
const ahead = 2
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
const answering = 40

/** Those that hang must not cost the others anything: their figures are to be those of the same without them. */
function outbound(name: string, hanging: number): Workload {
  const all = answering + hanging
  const which = hanging === 0 ? 'all of which answer' : `of which ${hanging} hang`
  return {
    name,
    title: () => `${rate} events a second are due to ${all} peers, ${which}; time until another has it`,
    each: 'delivery',
    async run(bench) {
      const [sender] = await bench.users('o', 1)
      const roomId = await createRoom(sender!, roomVersion)
      await using peers = await peersOf(bench, all)
      for (const peer of peers.all) await peer.join(roomId as RoomId)
      for (const peer of peers.all.slice(0, hanging)) peer.hangs = true
      const deliveries = new Deliveries(peers.all.slice(hanging))
      await bench.settled()
      // Awaited here, while the peers are there.
      return await bench.measure(async () => {
        const started = performance.now()
        const { samples: sent } = await openLoop(rate, bench.seconds, (round) => {
          const body = `${bench.tag} ${round}`
          deliveries.due(body)
          return sender!.put(inRoom(roomId, `send/m.room.message/o${round}`), { msgtype: 'm.text', body })
        })
        await deliveries.until(sent.length * answering)
        return { samples: deliveries.samples, seconds: (performance.now() - started) / 1000 }
      })
    },
  }
}

/** How long messages take until peers have them. */
class Deliveries {
  /** Milliseconds. */
  readonly samples: number[] = []
  readonly #dueAt = new Map<string, number>()
  readonly #all = Promise.withResolvers<void>()
  #wanted = Number.POSITIVE_INFINITY

  constructor(peers: readonly Peer[]) {
    for (const peer of peers) peer.onEvent = (pdu) => this.#arrived(pdu)
  }

  due(body: string): void {
    this.#dueAt.set(body, performance.now())
  }

  /** Resolves when so many have arrived, or nobody waits for them any longer. */
  async until(count: number): Promise<void> {
    this.#wanted = count
    if (this.samples.length >= count) return
    const late = AbortSignal.timeout(patience)
    await Promise.race([this.#all.promise, new Promise((done) => late.addEventListener('abort', done))])
  }

  #arrived({ type, content }: Pdu): void {
    const due = type === 'm.room.message' ? this.#dueAt.get(String(content.body)) : undefined
    if (due === undefined) return
    this.samples.push(performance.now() - due)
    if (this.samples.length >= this.#wanted) this.#all.resolve()
  }
}

export const federation: readonly Workload[] = [
  inbound,
  outbound('federation-outbound', 10),
  outbound('federation-outbound-answering', 0),
]
