import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { DEFAULT_THREAD_CHANGES } from '../../matrix/limits.ts'
import { threadChangesOf } from '../../rooms/thread-subscriptions.ts'
import { formatSyncToken, parseSyncToken } from '../../sync/token.ts'

/** Spec: MSC4308, "Companion endpoint for backpaginating thread subscription changes". */
export const getThreadSubscriptions = endpoint({
  method: 'get',
  path: '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions',
  auth: 'user',
  when: (config) => config.experimental.msc4306,
  query: Type.Object({
    dir: Type.Literal('b'),
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
  async handle(ctx, { query, requester }) {
    const { earlier, ...changes } = await threadChangesOf(ctx, requester.userNid, {
      after: query.to === undefined ? 0 : parseSyncToken(query.to).position,
      upTo: query.from === undefined ? ctx.stream.position : parseSyncToken(query.from).position,
      limit: query.limit ?? DEFAULT_THREAD_CHANGES,
    })
    return { ...changes, ...(earlier !== undefined && { end: formatSyncToken({ position: earlier }) }) }
  },
})
