import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import type { Context } from '../context.ts'

/** The request in whose course the program is right now. */
const current = new AsyncLocalStorage<string>()

/** What proxies use, and nothing that would look like something else in a log. */
const usable = /^[\w.:-]{1,64}$/

/** What a request is called in the log; undefined outside of requests. */
export function currentRequestId(): string | undefined {
  return current.getStore()
}

/** Has everything that is logged in the course of the work carry the id. */
export function withRequestId<Result>(requestId: string, work: () => Result): Result {
  return current.run(requestId, work)
}

/** Names requests: as a trusted proxy does in `X-Request-Id`, else by the process and a count. */
export function createRequestIds(
  { processId }: Pick<Context, 'processId'>,
  isProxied: (request: IncomingMessage) => boolean,
): (request: IncomingMessage) => string {
  let count = 0
  return (request) => {
    const given = request.headers['x-request-id']
    if (typeof given === 'string' && usable.test(given) && isProxied(request)) return given
    count++
    return `${processId}-${count.toString(36)}`
  }
}
