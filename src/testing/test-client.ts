import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { parseJson } from '../matrix/strict-json.ts'
import { answerProblem } from './openapi.ts'

/** A body as tests read it: they say what they expect of it themselves. */
// biome-ignore lint/suspicious/noExplicitAny: a test's expectations are its types
export type Answer = any

export type TestResponse = { readonly status: number; readonly body: Answer; readonly headers: Headers }

export type TestRequest = {
  readonly body?: unknown
  readonly token?: string | undefined
  readonly headers?: { readonly [name: string]: string }
  readonly query?: { readonly [name: string]: string | number | boolean | undefined }
}

/** An answer other than 2xx where a test expected one. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer'
  readonly response: TestResponse
  constructor(method: string, path: string, response: TestResponse) {
    super(`${method.toUpperCase()} ${path} answered ${response.status}: ${JSON.stringify(response.body)}`)
    this.response = response
  }
}

/**
 * Sends a request over HTTP and holds the answer to the specification.
 *
 * @throws Error when the answer is not what the specification says it is.
 */
export async function sendRequest(
  base: string,
  method: string,
  path: string,
  request: TestRequest = {},
): Promise<TestResponse> {
  const response = await fetch(base + withQuery(path, request.query), {
    method: method.toUpperCase(),
    headers: {
      ...(request.token !== undefined && { authorization: `Bearer ${request.token}` }),
      ...(request.body !== undefined && { 'content-type': 'application/json' }),
      ...request.headers,
    },
    ...(request.body !== undefined && {
      body: typeof request.body === 'string' ? request.body : JSON.stringify(request.body),
    }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  const body = isJson ? parseJson(text, { integers: 'any' }) : text
  // What a parameter on its way into the specification brings is not described there yet.
  const isSpecified = !/[?&]org\.matrix\.msc\d+\./.test(path)
  if (isJson && isSpecified) {
    const problem = await answerProblem(method.toLowerCase(), path.split('?')[0]!, response.status, body)
    if (problem !== undefined) throw new Error(`${problem}\n${text.slice(0, 2000)}`)
  }
  return { status: response.status, body, headers: response.headers }
}

/** One device of one user. */
export class TestClient {
  readonly base: string
  readonly userId: UserId
  readonly deviceId: string
  accessToken: string
  refreshToken: string | undefined
  #transaction = 0

  constructor(base: string, session: Answer) {
    this.base = base
    this.userId = session.user_id
    this.deviceId = session.device_id
    this.accessToken = session.access_token
    this.refreshToken = session.refresh_token
  }

  /** The answer, whatever its status. `path` begins with a slash; without a prefix it is under `/_matrix/client/v3`. */
  attempt(method: string, path: string, request: Omit<TestRequest, 'token'> = {}): Promise<TestResponse> {
    const full = /^\/(_matrix|_synapse|_chappe|\.well-known)\//.test(path) ? path : `/_matrix/client/v3${path}`
    return sendRequest(this.base, method, full, { ...request, token: this.accessToken })
  }

  /** @throws UnexpectedAnswer unless the status is 2xx. */
  async request(method: string, path: string, request: Omit<TestRequest, 'token'> = {}): Promise<Answer> {
    const response = await this.attempt(method, path, request)
    if (response.status >= 300) throw new UnexpectedAnswer(method, path, response)
    return response.body
  }

  get(path: string, query?: TestRequest['query']): Promise<Answer> {
    return this.request('get', path, query === undefined ? {} : { query })
  }

  post(path: string, body: unknown = {}): Promise<Answer> {
    return this.request('post', path, { body })
  }

  put(path: string, body: unknown = {}): Promise<Answer> {
    return this.request('put', path, { body })
  }

  delete(path: string, body?: unknown): Promise<Answer> {
    return this.request('delete', path, body === undefined ? {} : { body })
  }

  async createRoom(options: object = {}): Promise<RoomId> {
    return (await this.post('/createRoom', options)).room_id
  }

  send(room: RoomId, type: string, content: object, txnId = `t${++this.#transaction}`): Promise<{ event_id: EventId }> {
    return this.put(`/rooms/${encodeURIComponent(room)}/send/${encodeURIComponent(type)}/${txnId}`, content)
  }

  sendState(room: RoomId, type: string, content: object, stateKey = ''): Promise<{ event_id: EventId }> {
    const path = `/rooms/${encodeURIComponent(room)}/state/${encodeURIComponent(type)}/${encodeURIComponent(stateKey)}`
    return this.put(path, content)
  }

  getState(room: RoomId, type: string, stateKey = ''): Promise<Answer> {
    return this.get(
      `/rooms/${encodeURIComponent(room)}/state/${encodeURIComponent(type)}/${encodeURIComponent(stateKey)}`,
    )
  }

  join(room: string): Promise<{ room_id: RoomId }> {
    return this.post(`/join/${encodeURIComponent(room)}`)
  }

  /** One of the membership endpoints of a room. */
  membership(
    room: RoomId,
    action: 'invite' | 'leave' | 'kick' | 'ban' | 'unban' | 'forget',
    body: object = {},
  ): Promise<Answer> {
    return this.post(`/rooms/${encodeURIComponent(room)}/${action}`, body)
  }

  invite(room: RoomId, userId: UserId): Promise<Answer> {
    return this.membership(room, 'invite', { user_id: userId })
  }

  leave(room: RoomId): Promise<Answer> {
    return this.membership(room, 'leave')
  }

  sync(query: TestRequest['query'] = {}): Promise<Answer> {
    return this.get('/sync', query)
  }
}

function withQuery(path: string, query: TestRequest['query']): string {
  if (query === undefined) return path
  const entries = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
  return entries.length === 0 ? path : `${path}?${new URLSearchParams(entries)}`
}
