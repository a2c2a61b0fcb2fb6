import { isIP } from 'node:net'
import { Agent, request } from 'undici'
import { type AddressPolicy, literalIn } from './addresses.ts'
import { AddressRefused, checkedLookup } from './checked-lookup.ts'
import { readLimited } from './read-limited.ts'

export type OutgoingRequest = {
  readonly method: 'GET' | 'PUT' | 'POST'
  readonly url: URL
  readonly headers?: { readonly [name: string]: string }
  /** JSON text. */
  readonly body?: string
  /** Milliseconds, for the whole exchange. */
  readonly timeout: number
  /** Bytes of the answer. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

/** An answer that is read as it comes. Whoever gets it reads its body to the end or destroys it. */
export type OutgoingStream = {
  readonly status: number
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly body: AsyncIterable<Buffer> & { destroy(): unknown }
}

export type OutgoingAnswer = { readonly status: number; readonly body: Buffer }

/** HTTP to what users or the operator named: no redirects, a limit on everything. */
export type Outgoing = {
  /** @throws Error when there is no answer, or one that is too long; AddressRefused. */
  send(asked: OutgoingRequest): Promise<OutgoingAnswer>
  /**
   * The beginning of the answer to a GET.
   *
   * @param asked `signal` ends it, the reading of the body included.
   * @throws Error when there is no answer; AddressRefused.
   */
  open(asked: {
    readonly url: URL
    readonly headers: { readonly [name: string]: string }
    readonly signal: AbortSignal
  }): Promise<OutgoingStream>
  close(): Promise<void>
}

/** @param policy Without one every address may be connected to. */
export function createOutgoing(policy?: AddressPolicy): Outgoing {
  const agent = new Agent({
    connect: { timeout: 10_000, ...(policy && { lookup: checkedLookup(policy) }) },
    pipelining: 1,
    connections: 16,
  })
  /** Addresses are connected to without being looked up. */
  const checkLiteral = (url: URL): void => {
    const literal = literalIn(url)
    if (policy && isIP(literal) !== 0 && !policy(literal)) throw new AddressRefused(`${literal} may not be used`)
  }
  return {
    async send(asked) {
      checkLiteral(asked.url)
      const timeout = AbortSignal.timeout(asked.timeout)
      const { statusCode, body } = await request(asked.url, {
        method: asked.method,
        dispatcher: agent,
        signal: asked.signal ? AbortSignal.any([timeout, asked.signal]) : timeout,
        headers: { ...asked.headers, ...(asked.body !== undefined && { 'content-type': 'application/json' }) },
        body: asked.body ?? null,
      })
      return { status: statusCode, body: await readLimited(body, asked.maxBytes) }
    },
    async open({ url, headers, signal }) {
      checkLiteral(url)
      const answer = await request(url, { dispatcher: agent, headers, signal })
      // Whoever destroys it unread knows.
      answer.body.on('error', () => {})
      return { status: answer.statusCode, headers: answer.headers, body: answer.body }
    },
    close: () => agent.destroy(),
  }
}
