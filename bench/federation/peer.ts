import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import type { Authority } from '../../complement-tests/certificates.ts'
import { authTypesFor } from '../../src/matrix/auth-rules/index.ts'
import { buildEvent } from '../../src/matrix/build-event.ts'
import { knownEvent, type Pdu, type RoomEvent } from '../../src/matrix/event.ts'
import { contentHash, eventIdOf } from '../../src/matrix/hashes.ts'
import type { RoomId, ServerName, UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { publishedKeys } from '../../src/matrix/published-keys.ts'
import { type RoomRules, roomRules } from '../../src/matrix/room-versions.ts'
import { type SigningKey, signEvent, signingKeyFromSeed, signJson } from '../../src/matrix/signatures.ts'
import type { Body } from '../client.ts'

/** Whom it speaks with: where its requests go, and by which name it signs them. */
export type Target = { readonly url: string; readonly serverName: string }

/** Another server, as far as a benchmark needs one: it joins rooms, sends transactions and takes them. */
export class Peer {
  readonly name: ServerName
  readonly userId: UserId
  /** Told of each event that comes in a transaction. */
  onEvent: (pdu: Pdu) => void = () => {}
  /** Takes transactions and never answers. */
  hangs = false
  readonly #key: SigningKey
  readonly #pool: Pool
  readonly #target: Target
  /** What it sent, for who asks what came before one of them. */
  readonly #sent = new Map<string, RoomEvent>()
  #transactions = 0

  constructor(port: number, target: Target) {
    this.name = `localhost:${port}`
    this.userId = `@peer:${this.name}`
    this.#key = signingKeyFromSeed('bench', Buffer.alloc(32, String(port)))
    this.#target = target
    this.#pool = new Pool(target.url, { connections: 8, headersTimeout: 300_000, bodyTimeout: 300_000 })
  }

  async request(method: 'GET' | 'PUT', path: string, content?: JsonObject): Promise<Body> {
    const destination = this.#target.serverName
    const signed = signJson(
      { method, uri: path, origin: this.name, destination, ...(content && { content }) },
      this.name,
      this.#key,
    )
    const sig = signed.signatures[this.name]![this.#key.keyId]!
    const answer = await this.#pool.request({
      method,
      path,
      headers: {
        authorization: `X-Matrix origin="${this.name}",destination="${destination}",key="${this.#key.keyId}",sig="${sig}"`,
        ...(content && { 'content-type': 'application/json' }),
      },
      ...(content && { body: JSON.stringify(content) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`)
    return JSON.parse(text)
  }

  async join(roomId: RoomId): Promise<PeerRoom> {
    const room = encodeURIComponent(roomId)
    const versions = Array.from({ length: 12 }, (_, index) => `ver=${index + 1}`).join('&')
    const user = encodeURIComponent(this.userId)
    const made = await this.request('GET', `/_matrix/federation/v1/make_join/${room}/${user}?${versions}`)
    const rules = roomRules(made.room_version)!
    const bare = { ...made.event, origin_server_ts: Date.now() }
    const hashed = { ...bare, hashes: { sha256: contentHash(bare) }, signatures: {} }
    const pdu = signEvent(hashed, this.name, this.#key, rules)
    const join = knownEvent(pdu, eventIdOf(pdu, rules), rules)
    const path = `/_matrix/federation/v2/send_join/${room}/${encodeURIComponent(join.eventId)}`
    const { state } = await this.request('PUT', path, join.pdu as unknown as JsonObject)
    const events = (state as Pdu[]).map((one) => knownEvent(one, eventIdOf(one, rules), rules))
    return new PeerRoom(this, roomId, rules, [...events, join], this.#key)
  }

  /** Events in one transaction; what was wrong with any of them is thrown. */
  async send(events: readonly RoomEvent[]): Promise<void> {
    const path = `/_matrix/federation/v1/send/bench${this.#transactions++}`
    for (const event of events) this.#sent.set(event.eventId, event)
    const pdus = events.map(({ pdu }) => pdu as unknown as JsonObject)
    const answer = await this.request('PUT', path, { origin: this.name, origin_server_ts: Date.now(), pdus })
    const refused = Object.values(answer.pdus as { error?: string }[]).find(({ error }) => error !== undefined)
    if (refused) throw new Error(`An event was refused: ${refused.error}`)
  }

  /** What it is asked. @returns undefined for what is not to be answered. */
  async answer(request: IncomingMessage): Promise<JsonObject | undefined> {
    const path = request.url!
    if (path.startsWith('/_matrix/key/')) return publishedKeys(this.name, [this.#key], Date.now())
    if (this.hangs && path.startsWith('/_matrix/federation/v1/send/')) return undefined
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body: Body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
    if (path.startsWith('/_matrix/federation/v1/get_missing_events/')) return { events: this.#before(body) }
    if (!path.startsWith('/_matrix/federation/v1/send/')) return {}
    const pdus: Pdu[] = body.pdus
    for (const pdu of pdus) this.onEvent(pdu)
    return { pdus: {} }
  }

  /** Servers may take the events of a transaction in any order, and then ask for those between. */
  #before(asked: Body): JsonObject[] {
    const known = new Set<string>(asked.earliest_events)
    const found: RoomEvent[] = []
    for (const latest of asked.latest_events as string[]) {
      let event = this.#sent.get(this.#sent.get(latest)?.prevEvents[0] ?? '')
      for (; event && !known.has(event.eventId) && found.length < asked.limit; ) {
        known.add(event.eventId)
        found.push(event)
        event = this.#sent.get(event.prevEvents[0] ?? '')
      }
    }
    return found.toReversed().map(({ pdu }) => pdu as unknown as JsonObject)
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** A room as the peer has it: what its messages are built on. */
export class PeerRoom {
  readonly #peer: Peer
  readonly #roomId: RoomId
  readonly #rules: RoomRules
  readonly #state: ReadonlyMap<string, RoomEvent>
  readonly #key: SigningKey
  #last: RoomEvent

  constructor(peer: Peer, roomId: RoomId, rules: RoomRules, state: readonly RoomEvent[], key: SigningKey) {
    this.#peer = peer
    this.#roomId = roomId
    this.#rules = rules
    this.#key = key
    this.#last = state.at(-1)!
    this.#state = new Map(state.map((event) => [`${event.pdu.type}\0${event.pdu.state_key}`, event]))
  }

  /** The next messages, each after the one before. */
  messages(count: number): RoomEvent[] {
    return Array.from({ length: count }, (_, index) => {
      this.#last = this.#message(`message ${index} of a peer`)
      return this.#last
    })
  }

  #message(body: string): RoomEvent {
    const draft = { type: 'm.room.message', sender: this.#peer.userId, content: { msgtype: 'm.text', body } }
    const auth = authTypesFor(draft as unknown as Pdu, this.#rules)
    const { json: _, ...event } = buildEvent(
      {
        ...draft,
        roomId: this.#roomId,
        originServerTs: Date.now(),
        depth: this.#last.pdu.depth + 1,
        prevEvents: [this.#last.eventId],
        authEvents: auth.flatMap(([type, key]) => this.#state.get(`${type}\0${key}`)?.eventId ?? []),
      },
      this.#rules,
      this.#peer.name,
      this.#key,
    )
    return event
  }
}

export type Peers = AsyncDisposable & { readonly all: readonly Peer[] }

/** So many servers on this machine, each with a port and a name of its own. */
export async function startPeers(count: number, target: Target, authority: Authority): Promise<Peers> {
  const { certificate, key } = authority.certify('peers')
  const tls = { cert: readFileSync(certificate), key: readFileSync(key) }
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      let peer: Peer | undefined
      const server = createServer(tls, async (request, response) => {
        // A request that is broken off is not answered, like one that hangs.
        const answer = await peer!.answer(request).catch(() => undefined)
        if (answer === undefined) return
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify(answer))
      })
      await new Promise<void>((resolve) => server.listen(0, resolve))
      peer = new Peer((server.address() as AddressInfo).port, target)
      return { server, peer }
    }),
  )
  return {
    all: servers.map(({ peer }) => peer),
    async [Symbol.asyncDispose]() {
      await Promise.all(
        servers.map(async ({ server, peer }) => {
          await peer.close()
          server.closeAllConnections()
          await new Promise((resolve) => server.close(resolve))
        }),
      )
    },
  }
}
