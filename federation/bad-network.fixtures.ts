import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Dice } from '../src/testing/dice.ts'

/** What happens to the pieces of data on their way, in either direction. */
export type Conditions = {
  /** Milliseconds that a piece takes at most. */
  readonly delay: number
  /** How likely a piece is not to arrive, and to end its connection. */
  readonly cut: number
}

const good: Conditions = { delay: 0, cut: 0 }

/** The lines by which servers reach one another, which a test makes bad: each server is named by the address of its line. */
export class BadNetwork {
  readonly dice: Dice
  conditions = good
  readonly #lines: Line[] = []
  /** Pairs of ports whose servers do not reach one another. */
  readonly #apart = new Set<string>()

  constructor(dice: Dice) {
    this.dice = dice
  }

  async line(): Promise<Line> {
    const line = new Line(this)
    await line.open()
    this.#lines.push(line)
    return line
  }

  /** From here on neither hears of the other. */
  part(one: Line, other: Line): void {
    this.#apart.add(pairOf(one.port, other.port))
    one.breakAll()
    other.breakAll()
  }

  areApart(one: number, other: number): boolean {
    return this.#apart.has(pairOf(one, other))
  }

  /** Everything arrives again. */
  heal(): void {
    this.conditions = good
    this.#apart.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.close()))
  }
}

function pairOf(one: number, other: number): string {
  return `${Math.min(one, other)} ${Math.max(one, other)}`
}

/** An address that leads to the processes of a deployment, one connection after the other. */
export class Line {
  readonly #network: BadNetwork
  readonly #server: Server
  readonly #open = new Set<Socket>()
  #next = 0
  /** The ports of the processes that run. */
  backends: readonly number[] = []

  constructor(network: BadNetwork) {
    this.#network = network
    this.#server = createServer((socket) => this.#accept(socket))
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  async open(): Promise<void> {
    // Below the ports that the system gives to connections, which otherwise could be taken when a server starts again.
    for (;;) {
      this.#server.listen(randomInt(20_000, 32_000), '0.0.0.0')
      const event = await Promise.race([once(this.#server, 'listening').then(() => true), once(this.#server, 'error')])
      if (event === true) return
    }
  }

  breakAll(): void {
    for (const socket of this.#open) socket.destroy()
  }

  async close(): Promise<void> {
    this.breakAll()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#keep(client)
    const port = this.backends[this.#next++ % this.backends.length]
    if (port === undefined) {
      client.destroy()
      return
    }
    const backend = connect(port, '127.0.0.1')
    this.#keep(backend)
    this.#pass(client, backend, (piece) => this.#isBarred(piece))
    this.#pass(backend, client, () => false)
  }

  #keep(socket: Socket): void {
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
  }

  /** A request says by its signature whom it is from. */
  #isBarred(piece: Buffer): boolean {
    const origin = /X-Matrix origin="[^"]*:(\d+)"/i.exec(piece.toString('latin1'))?.[1]
    return origin !== undefined && this.#network.areApart(Number(origin), this.port)
  }

  #pass(from: Socket, to: Socket, isBarred: (piece: Buffer) => boolean): void {
    const { dice } = this.#network
    let last: Promise<unknown> = Promise.resolve()
    let isBroken = false
    from.on('data', (piece: Buffer) => {
      const { delay, cut } = this.#network.conditions
      const late = delay === 0 ? undefined : dice.below(delay)
      const isLost = dice.chance(cut) || isBarred(piece)
      last = last.then(async () => {
        if (late !== undefined) await new Promise((resolve) => setTimeout(resolve, late))
        if (isBroken) return
        if (isLost) {
          isBroken = true
          from.destroy()
        } else to.write(piece)
      })
    })
    from.on('close', () => last.then(() => to.destroy()))
  }
}
