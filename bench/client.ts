import { createHmac } from 'node:crypto'
import { Pool } from 'undici'

/** A Matrix client that costs the machine as little as possible: the load generator shares it with the server. */
export type BenchClient = {
  readonly userId: string
  get(path: string): Promise<Body>
  post(path: string, body?: unknown): Promise<Body>
  put(path: string, body: unknown): Promise<Body>
}

/** An answer; benchmarks read what they need of it. */
// biome-ignore lint/suspicious/noExplicitAny: what a server answers is what a benchmark finds out
export type Body = any

export type Target = { readonly url: string; readonly sharedSecret: string }

export type Connection = {
  register(name: string): Promise<BenchClient>
  close(): Promise<void>
}

export function connect(target: Target, options: { connections: number }): Connection {
  const pool = new Pool(target.url, { connections: options.connections, pipelining: 1, headersTimeout: 120_000 })

  const request = async (
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    token?: string,
    body?: unknown,
  ): Promise<Body> => {
    const answer = await pool.request({
      method,
      path,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`)
    return JSON.parse(text)
  }

  return {
    async register(name) {
      const path = '/_synapse/admin/v1/register'
      const { nonce } = await request('GET', path)
      const password = `password of ${name}`
      const mac = createHmac('sha1', target.sharedSecret)
        .update([nonce, name, password, 'notadmin'].join('\0'))
        .digest('hex')
      const session = await request('POST', path, undefined, { nonce, username: name, password, admin: false, mac })
      const token = session.access_token as string
      return {
        userId: session.user_id as string,
        get: (to) => request('GET', to, token),
        post: (to, body = {}) => request('POST', to, token, body),
        put: (to, body) => request('PUT', to, token, body),
      }
    },
    close: () => pool.close(),
  }
}
