import { type DestinationStream, type Logger, pino } from 'pino'
import type { Config } from './config.ts'
import { currentCourse } from './tracing/course.ts'

/** Secrets that a logged object could carry. */
const redacted = ['*.password', '*.access_token', '*.refresh_token', '*.token', '*.authorization']

/** What is told of an error. The rest that PostgreSQL says, `detail` above all, quotes rows, and with them what people wrote. */
function errorForLog(error: Error & { readonly code?: unknown }): object {
  const { name, message, stack, code } = error
  return { name, message, stack, ...(code !== undefined && { code }) }
}

/** The log: a line of JSON for each entry, with the id of the request that it came about in, or of several at once. */
export function createLog(
  config: { readonly log: Pick<Config['log'], 'level'> },
  destination: DestinationStream = pino.destination(1),
): Logger {
  const mixin = (): object => {
    const requestIds = currentCourse()?.requestIds ?? []
    if (requestIds.length === 0) return {}
    return requestIds.length === 1 ? { requestId: requestIds[0] } : { requestIds }
  }
  const serializers = { err: errorForLog }
  return pino({ level: config.log.level, redact: redacted, serializers, mixin }, destination)
}
