import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from './test-client.ts'

export type RecordedRequest = {
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly body: Answer
}

export type RecordedAnswer = { readonly status?: number; readonly body?: unknown }

/** Stands for what a server under test calls: a push gateway, an application service. Writes down what it is asked. */
export class RecordingServer {
  readonly url: string
  /** Everything that was asked, in the order in which it was answered. */
  readonly requests: RecordedRequest[] = []
  /** What is answered; `{}` without it. May wait, and may call the server under test. */
  answer: (request: RecordedRequest) => RecordedAnswer | Promise<RecordedAnswer> = () => ({})
  readonly #server: Server
  #taken = 0
  #waiting: (() => void)[] = []

  constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** The next request that the test has not taken yet. */
  async next(): Promise<RecordedRequest> {
    while (this.requests.length <= this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.requests[this.#taken++]!
  }

  record(request: RecordedRequest): void {
    this.requests.push(request)
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export async function startRecordingServer(): Promise<RecordingServer> {
  let recording: RecordingServer | undefined
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = new URL(request.url!, 'http://server')
    const text = Buffer.concat(chunks).toString()
    const recorded: RecordedRequest = {
      method: request.method!,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    const answer = await recording!.answer(recorded)
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer.body ?? {}), () => recording!.record(recorded))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  recording = new RecordingServer(server)
  return recording
}
