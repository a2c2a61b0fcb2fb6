import type { RoomId, UserId } from '../src/matrix/ids.ts'
import type { Dice } from '../src/testing/dice.ts'
import { createDice } from '../src/testing/dice.ts'
import type { Answer, TestClient, TestResponse } from '../src/testing/test-client.ts'
import { BadNetwork } from './bad-network.fixtures.ts'
import { type Deployment, startDeployment } from './deployment.fixtures.ts'

const enc = encodeURIComponent

/** Milliseconds after which nobody waits for an answer any longer. */
const patience = 20_000
const versions = ['12', '11', '10']
const mostRooms = 6

export type Room = { readonly roomId: RoomId; readonly creator: Person }

/** What a server said it has taken in. */
export type Acknowledged = {
  readonly events: Map<string, { readonly room: Room; readonly by: UserId; readonly what: string }>
  /** What messages to devices said, and to whom. */
  readonly toDevice: Map<string, Person>
}

/** Servers, people on them who do anything, and whatever can happen to networks and processes. */
export class Chaos {
  readonly dice: Dice
  readonly network: BadNetwork
  readonly servers: Deployment[] = []
  readonly people: Person[] = []
  readonly rooms: Room[] = []
  readonly acknowledged: Acknowledged = { events: new Map(), toDevice: new Map() }
  readonly counts = { requests: 0, refused: 0, unanswered: 0, kills: 0, weathers: 0 }
  isOver = false
  /** Resolves when a server that was killed runs again. */
  readonly #starting = new Map<Deployment, Promise<void>>()

  constructor(seed: number) {
    this.dice = createDice(seed)
    this.network = new BadNetwork(createDice(seed + 1))
  }

  async start(servers: number, peopleOfEach: number): Promise<void> {
    this.servers.push(...(await Promise.all(Array.from({ length: servers }, () => startDeployment(this.network)))))
    for (const server of this.servers) {
      for (let index = 0; index < peopleOfEach; index++) {
        const client = await server.register(`user${index}`)
        this.people.push(new Person(this, server, client, createDice(this.dice.below(2 ** 31))))
      }
    }
    for (const index of [0, peopleOfEach]) await this.people[index]!.createRoom()
    for (const room of this.rooms) await Promise.all(this.people.map((person) => person.join(room)))
  }

  /** Everybody does one thing after the other while the weather changes. */
  async rage(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds
    const isTime = () => performance.now() < end
    const acting = this.people.map(async (person) => {
      while (isTime()) await person.act()
    })
    await Promise.all([this.#changeWeather(isTime), this.#killServers(isTime)])
    this.network.heal()
    await Promise.all(this.#starting.values())
    this.isOver = true
    await Promise.all(acting)
  }

  /** Once the server of somebody runs. */
  async up(server: Deployment): Promise<void> {
    await this.#starting.get(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()))
    await this.network[Symbol.asyncDispose]()
  }

  async #changeWeather(isTime: () => boolean): Promise<void> {
    const { dice, network, servers } = this
    while (isTime()) {
      network.heal()
      this.counts.weathers++
      const kind = dice.below(4)
      const [one, other] = [dice.pick(servers), dice.pick(servers)]
      if (kind === 1) network.conditions = { delay: 60, cut: 0.15 }
      if (kind === 2 && one !== other) network.part(one.line, other.line)
      if (kind === 3) for (const server of servers) if (server !== one) network.part(one.line, server.line)
      await after(400 + dice.below(1_200))
    }
  }

  async #killServers(isTime: () => boolean): Promise<void> {
    const { dice } = this
    for (;;) {
      await after(500 + dice.below(1_500))
      if (!isTime()) return
      const server = dice.pick(this.servers)
      this.counts.kills++
      const again = server.kill().then(async () => {
        await after(dice.below(800))
        await server.start()
      })
      this.#starting.set(server, again)
      await again
    }
  }
}

function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Somebody who does what comes into their head, and remembers what was acknowledged. */
export class Person {
  readonly server: Deployment
  readonly userId: UserId
  readonly #chaos: Chaos
  readonly #dice: Dice
  readonly #session: TestClient
  /** Where they are, as far as they know. */
  readonly #joined = new Set<Room>()
  /** Joins of which they do not know what became: the answer may have been lost on the way from another server. */
  readonly #unsure = new Set<Room>()
  #count = 0

  constructor(chaos: Chaos, server: Deployment, session: TestClient, dice: Dice) {
    this.#chaos = chaos
    this.server = server
    this.#session = session
    this.userId = session.userId
    this.#dice = dice
  }

  /** Their device, wherever their server is now. */
  get client(): TestClient {
    return this.server.again(this.#session)
  }

  /** The answer, if there is one in time. */
  async ask(method: string, path: string, body?: object): Promise<TestResponse | undefined> {
    const { counts } = this.#chaos
    await this.#chaos.up(this.server)
    counts.requests++
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), patience)
    })
    const asked = this.client.attempt(method, path, body === undefined ? {} : { body }).catch(() => undefined)
    const answer = await Promise.race([asked, late])
    clearTimeout(timer)
    if (answer === undefined) counts.unanswered++
    else if (answer.status >= 300) counts.refused++
    return answer
  }

  async act(): Promise<unknown> {
    const dice = this.#dice
    const rooms = [...this.#joined]
    const joinable = this.#chaos.rooms.filter((room) => !this.#joined.has(room))
    const action = dice.below(40)
    if (action < 4 && joinable.length > 0) return this.join(dice.pick(joinable))
    if (action === 4 && this.#chaos.rooms.length < mostRooms) return this.createRoom()
    if (action < 8 || rooms.length === 0) return this.#sendToDevice(dice.pick(this.#chaos.people))
    const room = dice.pick(rooms)
    const other = dice.pick(this.#chaos.people)
    if (action < 10) return this.#change(other, room, 'invite')
    if (action === 10 && room.creator !== this) return this.#leave(room)
    if (action === 11) return this.#change(other, room, 'kick')
    if (action === 12) return this.#change(other, room, 'ban')
    if (action < 15) return this.#change(other, room, 'unban')
    if (action < 17) return this.#setLevel(other, room)
    if (action < 20) return this.#state(room, 'm.room.topic', { topic: this.#word() })
    if (action < 22) return this.#redact(room)
    return this.say(room)
  }

  async createRoom(): Promise<void> {
    const options = { preset: 'public_chat', room_version: this.#dice.pick(versions) }
    const answer = await this.ask('post', '/createRoom', options)
    if (answer?.status !== 200) return
    const room = { roomId: answer.body.room_id, creator: this }
    this.#chaos.rooms.push(room)
    this.#joined.add(room)
  }

  async join(room: Room): Promise<void> {
    const via = [room.creator.server.name, this.#dice.pick(this.#chaos.servers).name]
    const query = via.map((server) => `via=${enc(server)}`).join('&')
    const answer = await this.ask('post', `/join/${enc(room.roomId)}?${query}`, {})
    if (answer?.status === 200) this.#joined.add(room)
    // Being refused is clear; that nobody could be asked is not.
    if (answer?.status === 200 || answer?.status === 403) this.#unsure.delete(room)
    else this.#unsure.add(room)
  }

  /** Asks again for what they do not know to be done. */
  async insist(): Promise<void> {
    for (const room of [...this.#unsure]) await this.join(room)
  }

  /** Says something that nobody has said before, and again until it is known what became of it. */
  async say(room: Room, isLast = false): Promise<string | undefined> {
    const body = this.#word()
    const path = `/rooms/${enc(room.roomId)}/send/m.room.message/${enc(body)}`
    for (;;) {
      const answer = await this.ask('put', path, { msgtype: 'm.text', body })
      if (answer === undefined && !this.#chaos.isOver) continue
      this.#noted(room, answer, body)
      if (answer?.status === 403 && !isLast) this.#joined.delete(room)
      return answer?.body.event_id
    }
  }

  async #sendToDevice(other: Person): Promise<void> {
    const word = this.#word()
    const path = `/sendToDevice/test.chaos/${enc(word)}`
    for (;;) {
      const answer = await this.ask('put', path, { messages: { [other.userId]: { '*': { word } } } })
      if (answer === undefined && !this.#chaos.isOver) continue
      if (answer?.status === 200) this.#chaos.acknowledged.toDevice.set(word, other)
      return
    }
  }

  async #change(other: Person, room: Room, action: 'invite' | 'kick' | 'ban' | 'unban'): Promise<void> {
    if (other === this || other === room.creator) return
    await this.ask('post', `/rooms/${enc(room.roomId)}/${action}`, { user_id: other.userId })
  }

  async #leave(room: Room): Promise<void> {
    const answer = await this.ask('post', `/rooms/${enc(room.roomId)}/leave`, {})
    if (answer?.status === 200) this.#joined.delete(room)
  }

  async #setLevel(other: Person, room: Room): Promise<void> {
    if (other === room.creator) return
    const path = `/rooms/${enc(room.roomId)}/state/m.room.power_levels/`
    const answer = await this.ask('get', path)
    if (answer?.status !== 200) return
    const levels: Answer = answer.body
    const changed = { ...levels, users: { ...levels.users, [other.userId]: this.#dice.pick([0, 50, 50, 60]) } }
    await this.#state(room, 'm.room.power_levels', changed)
  }

  async #state(room: Room, type: string, content: object): Promise<void> {
    this.#noted(room, await this.ask('put', `/rooms/${enc(room.roomId)}/state/${type}/`, content), type)
  }

  async #redact(room: Room): Promise<void> {
    const own = [...this.#chaos.acknowledged.events].filter(([, one]) => one.room === room && one.by === this.userId)
    if (own.length === 0) return
    const path = `/rooms/${enc(room.roomId)}/redact/${enc(this.#dice.pick(own)[0])}/${enc(this.#word())}`
    this.#noted(room, await this.ask('put', path, {}), 'redaction')
  }

  #noted(room: Room, answer: TestResponse | undefined, what: string): void {
    if (answer?.status !== 200) return
    this.#chaos.acknowledged.events.set(answer.body.event_id, { room, by: this.userId, what })
  }

  #word(): string {
    return `${this.#count++} of ${this.userId}`
  }
}
