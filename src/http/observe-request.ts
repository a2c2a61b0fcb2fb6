import type { ServerResponse } from 'node:http'
import { isIPv6 } from 'node:net'
import type { Context } from '../context.ts'
import type { Span } from '../tracing/tracing.ts'

/** What is known of a request while it is served. */
export type Observed = {
  /** Names its operation, once that is known. */
  begin(operation: string): void
}

/** What requests that no endpoint is for are counted as. */
const unknownOperation = 'unknown'

/**
 * Measures and traces a request until its answer is out, and logs it where `log.requests` says so: the operation, never the path, which
 * tells rooms and users, nor a query, which can hold a token.
 */
export function observeRequest(
  ctx: Pick<Context, 'metrics' | 'log' | 'config'>,
  {
    response,
    address,
    span,
  }: { readonly response: ServerResponse; readonly address: string; readonly span: Span | undefined },
): Observed {
  const started = performance.now()
  const { requests } = ctx.metrics
  let operation: string | undefined
  const begin = (name: string): void => {
    operation = name
    requests.begin(name)
    span?.name(name)
  }
  response.once('close', () => {
    if (operation === undefined) begin(unknownOperation)
    const seconds = (performance.now() - started) / 1000
    const status = response.writableFinished ? response.statusCode : 'aborted'
    requests.end(operation!, status, seconds)
    if (span === undefined && !ctx.config.log.requests) return
    const from = shownAddress(address, ctx.config.log.addresses)
    span?.end({
      attributes: {
        'http.response.status_code': response.statusCode,
        ...(status === 'aborted' && { 'error.type': status }),
        ...(from !== undefined && { 'client.address': from }),
      },
      hasFailed: status === 'aborted' || status >= 500,
    })
    if (!ctx.config.log.requests) return
    ctx.log.info({ operation, status, seconds, ...(from !== undefined && { address: from }) }, 'Request')
  })
  return { begin }
}

/** As much of an address as the log may have. A network is the first 24 bits of an IPv4 address, 48 of an IPv6 one. */
export function shownAddress(address: string, shown: 'none' | 'network' | 'full'): string | undefined {
  if (shown === 'none') return undefined
  if (shown === 'full') return address
  if (!isIPv6(address)) return `${address.split('.').slice(0, 3).join('.')}.0/24`
  const [front, back] = address.split('%')[0]!.split('::') as [string, string?]
  const groups = front.split(':').filter((group) => group !== '')
  const behind = back === undefined ? [] : back.split(':').filter((group) => group !== '')
  const zeros = back === undefined ? 0 : 8 - groups.length - behind.length
  const whole = [...groups, ...Array<string>(Math.max(0, zeros)).fill('0'), ...behind]
  return `${whole.slice(0, 3).join(':')}::/48`
}
