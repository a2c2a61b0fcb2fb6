import type { Logger } from 'pino'
import type { ObserveBatch, ObserveStatement } from '../storage/observe.ts'
import { type Course, currentCourse, inCourse } from './course.ts'
import type { Tracing } from './tracing.ts'

/**
 * Has statements traced, and named in the log at debug, with the request that they are for.
 *
 * @returns undefined where nobody wants to know: then they cost nothing.
 */
export function observeStatements(log: Logger, tracing: Tracing | undefined): ObserveStatement | undefined {
  const isLogged = log.isLevelEnabled('debug')
  if (!isLogged && tracing === undefined) return undefined
  return ({ name, started, rows, hasFailed }) => {
    const seconds = (performance.now() - started) / 1000
    if (isLogged) log.debug({ statement: name, seconds, rows, ...(hasFailed && { hasFailed }) }, 'Statement')
    const attributes = {
      'db.system.name': 'postgresql',
      'db.query.summary': name,
      ...(rows !== undefined && { 'db.response.returned_rows': rows }),
    }
    tracing?.begin({ kind: 'client', name, started, attributes }).end({ hasFailed })
  }
}

/** A batch is for all whose units are in it. */
export function observeBatches(log: Logger, tracing: Tracing | undefined): ObserveBatch<Course> | undefined {
  if (!log.isLevelEnabled('debug') && tracing === undefined) return undefined
  return {
    origin: currentCourse,
    async during(origins, units, work) {
      const spans = origins.flatMap(({ span }) => span ?? [])
      const attributes = { 'chappe.batch.units': units }
      const span = tracing?.begin({ kind: 'internal', name: 'writer batch', links: spans, attributes })
      const requestIds = [...new Set(origins.flatMap((origin) => origin.requestIds))]
      await inCourse({ requestIds, span }, async () => {
        try {
          await work()
        } finally {
          span?.end()
        }
      })
    },
  }
}
