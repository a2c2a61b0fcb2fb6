import { Type } from '@sinclair/typebox'
import { scheduleEvent } from '../../delayed-events/schedule-event.ts'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { setState } from '../../rooms/set-state.ts'
import { refuseRejection } from '../../server-notices/refuse-rejection.ts'
import { withinLimits } from '../membership/within-limits.ts'
import { delayQuery, parseStateKey, parseType, stickinessOf, stickyQuery, timestampOf } from './schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` (v1.19). */
export const setRoomStateWithKey = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}/{stateKey}',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}/',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventType: parseType, stateKey: parseStateKey },
  rateLimit: { kind: 'message', by: 'user' },
  body: anyObject,
  query: Type.Object({ ts: Type.Optional(Type.Integer({ minimum: 0 })), ...delayQuery, ...stickyQuery }),
  async handle(ctx, { params, query, body, requester }) {
    const delay = query['org.matrix.msc4140.delay']
    if (delay !== undefined && ctx.config.experimental.msc4140) {
      return scheduleEvent(ctx, requester, {
        roomId: params.roomId,
        type: params.eventType,
        stateKey: params.stateKey,
        content: body,
        request: `state ${ctx.random.token(9)}`,
        ...timestampOf(requester, query),
        ...stickinessOf(ctx, query),
        delay,
      })
    }
    if (params.eventType === 'm.room.member' && params.stateKey === requester.userId && body.membership === 'leave') {
      await refuseRejection(ctx, params.roomId, requester)
    }
    const membership = params.eventType === 'm.room.member' ? body.membership : undefined
    const done = await withinLimits(ctx, requester, params.roomId, { membership, target: params.stateKey })
    const eventId = await setState(ctx, params.roomId, {
      type: params.eventType,
      sender: requester.userId,
      stateKey: params.stateKey,
      content: body,
      isOfGuest: requester.isGuest,
      ...timestampOf(requester, query),
      ...stickinessOf(ctx, query),
    })
    await done()
    return { event_id: eventId }
  },
})
