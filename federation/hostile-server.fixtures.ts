import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RoomEvent } from '../src/matrix/event.ts'
import { knownEvent, type Pdu } from '../src/matrix/event.ts'
import { contentHash, eventIdOf } from '../src/matrix/hashes.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { publishedKeys } from '../src/matrix/published-keys.ts'
import type { RoomRules } from '../src/matrix/room-versions.ts'
import { type SigningKey, signEvent, signingKeyFromSeed, signJson } from '../src/matrix/signatures.ts'
import { parseJson } from '../src/matrix/strict-json.ts'
import type { Answer, TestResponse } from '../src/testing/test-client.ts'
import type { TestServer } from '../src/testing/test-server.ts'

export type AskedOfHostile = { readonly method: string; readonly path: string; readonly body: Answer }

/** A server that can be asked, whatever it runs in. */
export type Addressed = Pick<TestServer, 'request'> & {
  readonly ctx: { readonly domains: { readonly default: ServerName } }
}

/** `text` is sent as it is, also when it is no JSON. */
export type HostileAnswer = {
  readonly status?: number
  readonly body?: unknown
  readonly text?: string | Buffer
  readonly headers?: { readonly [name: string]: string }
}

export type HostileRequest = {
  readonly body?: unknown
  /** What is sent in place of the body that is signed. */
  readonly sent?: string
  readonly origin?: ServerName
  readonly destination?: ServerName
  readonly key?: SigningKey
}

/** A server with a key of its own that follows no rule: it signs anything, and answers what a test wants. */
export class HostileServer {
  readonly name: ServerName
  readonly url: string
  key: SigningKey = signingKeyFromSeed('hostile', Buffer.alloc(32, 7))
  /** Everything it was asked, in order. */
  readonly asked: AskedOfHostile[] = []
  /** The events that it was sent in transactions. */
  readonly heard: Pdu[] = []
  /** Comes before what it answers by itself: its keys, and to transactions that all is well. */
  answer: (asked: AskedOfHostile) => HostileAnswer | undefined | Promise<HostileAnswer | undefined> = () => undefined
  readonly #server: Server
  #transaction = 0
  #names = 0

  constructor(server: Server) {
    this.#server = server
    this.name = `127.0.0.1:${(server.address() as AddressInfo).port}`
    this.url = `http://${this.name}`
  }

  /** What makes an event id of room versions 1 and 2 one that no other event has. */
  localpart(): string {
    return `hostile${++this.#names}`
  }

  /** A request that is signed as told; a body is signed as JSON, and sent like that or as `sent`. */
  request(to: Addressed, method: string, uri: string, request: HostileRequest = {}): Promise<TestResponse> {
    const { body, sent, destination = to.ctx.domains.default } = request
    const content = sent ?? body
    return to.request(method, uri, {
      headers: { authorization: this.authorization(destination, method, uri, request) },
      ...(content !== undefined && { body: typeof content === 'string' ? content : (content as object) }),
    })
  }

  /** The header that proves a request to be of this server. */
  authorization(destination: ServerName, method: string, uri: string, request: HostileRequest = {}): string {
    const { body, origin = this.name, key = this.key } = request
    const signed = signJson(
      { method, uri, origin, destination, ...(body !== undefined && { content: body as JsonObject }) },
      this.name,
      key,
    )
    const sig = signed.signatures[this.name]![key.keyId]!
    return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${sig}"`
  }

  /** Sends events in a transaction. Returns what is said of each, by its id. */
  async send(to: Addressed, pdus: readonly unknown[], edus: readonly unknown[] = []): Promise<Answer> {
    const uri = `/_matrix/federation/v1/send/hostile${++this.#transaction}`
    const { status, body } = await this.request(to, 'PUT', uri, {
      body: { origin: this.name, origin_server_ts: Date.now(), pdus, edus },
    })
    if (status !== 200) throw new Error(`The transaction was answered ${status}: ${JSON.stringify(body)}`)
    return body.pdus
  }

  /** The event with the hash and the signature that belong to it, whatever else is wrong with it. */
  stamp(json: JsonObject, rules: RoomRules): RoomEvent {
    const { hashes: _hashes, signatures: _signatures, ...bare } = json
    const hashed = { ...bare, hashes: { sha256: contentHash(bare as unknown as Pdu) }, signatures: {} }
    const pdu = signEvent(hashed as unknown as Pdu, this.name, this.key, rules)
    return knownEvent(pdu, eventIdOf(pdu, rules), rules)
  }

  async answerTo(request: IncomingMessage): Promise<HostileAnswer> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const asked: AskedOfHostile = {
      method: request.method!,
      path: request.url!,
      body: text === '' ? undefined : parseJson(text, { integers: 'any' }),
    }
    this.asked.push(asked)
    const answer = await this.answer(asked)
    if (answer !== undefined) return answer
    if (asked.path === '/_matrix/key/v2/server') return { body: publishedKeys(this.name, [this.key], Date.now()) }
    if (asked.path.startsWith('/_matrix/federation/v1/send/')) {
      this.heard.push(...(asked.body.pdus ?? []))
      return { body: { pdus: {} } }
    }
    return { status: 404, body: { errcode: 'M_NOT_FOUND', error: 'Not here' } }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export async function startHostileServer(): Promise<HostileServer> {
  let hostile: HostileServer | undefined
  const server = createServer(async (request, response) => {
    const { status = 200, body = {}, text, headers } = await hostile!.answerTo(request)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(text ?? JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  hostile = new HostileServer(server)
  return hostile
}
