import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type EventId, parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { subscribeToThread, threadSubscription, unsubscribeFromThread } from '../../rooms/thread-subscriptions.ts'

const place = {
  path: '/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{threadRootId}/subscription',
  auth: 'user',
  params: { roomId: parseRoomId, threadRootId: parseEventId },
  when: (config: Context['config']) => config.experimental.msc4306,
} as const

/** Spec: MSC4306, "Retrieving thread subscription". */
export const getThreadSubscription = endpoint({
  ...place,
  method: 'get',
  handle: (ctx, { params, requester }) =>
    threadSubscription(ctx, requester, { roomId: params.roomId, root: params.threadRootId }),
})

/** Spec: MSC4306, "Subscribing to a thread". */
export const putThreadSubscription = endpoint({
  ...place,
  method: 'put',
  body: Type.Object({ automatic: Type.Optional(Type.String()) }),
  async handle(ctx, { params, body, requester }) {
    const thread = { roomId: params.roomId, root: params.threadRootId }
    await subscribeToThread(ctx, requester, thread, causeOf(body.automatic))
    return {}
  },
})

function causeOf(text: string | undefined): EventId | undefined {
  const cause = text === undefined ? undefined : parseEventId(text)
  if (text !== undefined && !cause) throw new MatrixError('M_INVALID_PARAM', 'automatic: not an event id')
  return cause
}

/** Spec: MSC4306, "Unsubscribing from a thread". */
export const deleteThreadSubscription = endpoint({
  ...place,
  method: 'delete',
  async handle(ctx, { params, requester }) {
    await unsubscribeFromThread(ctx, requester, { roomId: params.roomId, root: params.threadRootId })
    return {}
  },
})
