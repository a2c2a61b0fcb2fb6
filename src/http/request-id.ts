import type { IncomingMessage } from 'node:http'
import type { Context } from '../context.ts'

/** What proxies use, and nothing that would look like something else in a log. */
const usable = /^[\w.:-]{1,64}$/

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
