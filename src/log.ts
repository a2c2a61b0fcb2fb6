import { type DestinationStream, type Logger, pino } from 'pino'
import type { Config } from './config.ts'
import { currentRequestId } from './http/request-id.ts'

/** Secrets that a logged object could carry. */
const redacted = ['*.password', '*.access_token', '*.refresh_token', '*.token', '*.authorization']

/** What is told of an error. The rest that PostgreSQL says, `detail` above all, quotes rows, and with them what people wrote. */
function errorForLog(error: Error & { readonly code?: unknown }): object {
  const { name, message, stack, code } = error
  return { name, message, stack, ...(code !== undefined && { code }) }
}

/** The log: a line of JSON for each entry, with the id of the request that it came about in. */
export function createLog(
  config: { readonly log: Pick<Config['log'], 'level'> },
  destination: DestinationStream = pino.destination(1),
): Logger {
  const mixin = (): object => {
    const requestId = currentRequestId()
    return requestId === undefined ? {} : { requestId }
  }
  const serializers = { err: errorForLog }
  return pino({ level: config.log.level, redact: redacted, serializers, mixin }, destination)
}
