import { createHmac } from 'node:crypto'
import { type Dispatcher, Pool } from 'undici'
import type { BenchServer } from './servers/server.ts'

/** A Matrix client that costs the machine as little as possible: the load generator shares it with the server. */
export type BenchClient = {
  readonly userId: string
  readonly deviceId: string
  readonly token: string
  /** The server that it speaks with. */
  readonly url: string
  get(path: string): Promise<Body>
  post(path: string, body?: unknown): Promise<Body>
  put(path: string, body: unknown): Promise<Body>
}

/** An answer; benchmarks read what they need of it. */
// biome-ignore lint/suspicious/noExplicitAny: what a server answers is what a benchmark finds out
export type Body = any

/** As many requests to a server as can be under way at once. */
export type Connections = {
  /** A user without a password, where the server lets us. */
  register(name: string): Promise<BenchClient>
  registerWithPassword(name: string, password: string): Promise<BenchClient>
  close(): Promise<void>
}

type Method = 'GET' | 'POST' | 'PUT'

/** Milliseconds. */
const patience = 300_000

/** Users are spread over the processes of the server. */
export function connect(server: Pick<BenchServer, 'urls' | 'registersBy'>, connections: number): Connections {
  const options = { connections, pipelining: 1, headersTimeout: patience, bodyTimeout: patience }
  const pools = server.urls.map((url) => new Pool(url, options))
  const { serviceToken, sharedSecret } = server.registersBy
  let registered = 0

  const request = async (pool: Pool, method: Method, path: string, token?: string, body?: unknown): Promise<Body> => {
    const { status, text } = await exchange(pool, {
      method,
      path,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${text.slice(0, 300)}`)
    return JSON.parse(text)
  }

  const clientOf = (session: Body, place: number): BenchClient => {
    const pool = pools[place]!
    const token = session.access_token as string
    return {
      userId: session.user_id,
      deviceId: session.device_id,
      token,
      url: server.urls[place]!,
      get: (path) => request(pool, 'GET', path, token),
      post: (path, body = {}) => request(pool, 'POST', path, token, body),
      put: (path, body) => request(pool, 'PUT', path, token, body),
    }
  }

  const registerWithPassword = async (name: string, password: string): Promise<BenchClient> => {
    const path = '/_synapse/admin/v1/register'
    const place = registered++ % pools.length
    const { nonce } = await request(pools[place]!, 'GET', path)
    const mac = createHmac('sha1', sharedSecret).update([nonce, name, password, 'notadmin'].join('\0')).digest('hex')
    const body = { nonce, username: name, password, admin: false, mac }
    return clientOf(await request(pools[place]!, 'POST', path, undefined, body), place)
  }

  return {
    registerWithPassword,
    async register(name) {
      if (serviceToken === undefined) return registerWithPassword(name, `password of ${name}`)
      const place = registered++ % pools.length
      const body = { type: 'm.login.application_service', username: name }
      return clientOf(await request(pools[place]!, 'POST', '/_matrix/client/v3/register', serviceToken, body), place)
    },
    close: async () => {
      await Promise.all(pools.map((pool) => pool.destroy()))
    },
  }
}

/** By the events of the connection: the streams that undici makes of them cost the load generator half its processor. */
function exchange(pool: Pool, request: Dispatcher.DispatchOptions): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let status = 0
    const chunks: Buffer[] = []
    pool.dispatch(request, {
      onRequestStart() {},
      onResponseStart(_controller, statusCode) {
        status = statusCode
      },
      onResponseData(_controller, chunk) {
        chunks.push(chunk)
      },
      onResponseEnd() {
        resolve({ status, text: chunks.length === 1 ? chunks[0]!.toString() : Buffer.concat(chunks).toString() })
      },
      onResponseError(_controller, error) {
        reject(error)
      },
    })
  })
}
