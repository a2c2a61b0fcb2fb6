import { MatrixError } from '../../../matrix/errors.ts'
import { DEFAULT_THREAD_CHANGES } from '../../../matrix/limits.ts'
import { threadChangesOf } from '../../../rooms/thread-subscriptions.ts'
import { formatSyncToken } from '../../token.ts'
import type { Extension } from './extension.ts'

/** Spec: MSC4308. What changed earlier than a full answer tells is to be asked for with `prev_batch`. */
export const threadSubscriptions: Extension = {
  name: 'io.element.msc4308.thread_subscriptions',
  ofRooms: false,
  async answer(ctx, { session, asked, since = 0, upTo }) {
    if (!ctx.config.experimental.msc4306) return undefined
    const limit = limitOf(asked.limit)
    if (since > 0 && session.threadsAt <= since) return { text: '{}', isNews: false }
    const { earlier, ...changes } = await threadChangesOf(ctx, session.userNid, { after: since, upTo, limit })
    const prevBatch = earlier !== undefined && { prev_batch: formatSyncToken({ position: earlier }) }
    return { text: JSON.stringify({ ...changes, ...prevBatch }), isNews: Object.keys(changes).length > 0 }
  },
}

function limitOf(limit: unknown): number {
  if (limit === undefined || limit === null) return DEFAULT_THREAD_CHANGES
  if (Number.isSafeInteger(limit) && (limit as number) > 0) return limit as number
  throw new MatrixError('M_INVALID_PARAM', 'extensions.io.element.msc4308.thread_subscriptions.limit: expected a count')
}
