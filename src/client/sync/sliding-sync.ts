import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MAX_SLIDING_ELEMENTS } from '../../matrix/limits.ts'
import { requiredStateOfPairs } from '../../sync/sliding/required-state.ts'
import { unstableForm } from '../../sync/sliding/unstable-form.ts'
import { slidingAnswerTo } from './sliding-request.ts'
import { commonBody, listFilters, nullable, range, timelineLimit } from './sliding-schemas.ts'

const roomConfig = {
  timeline_limit: timelineLimit,
  required_state: Type.Array(Type.Tuple([Type.String(), Type.String()]), { maxItems: MAX_SLIDING_ELEMENTS }),
}
const list = Type.Object({
  ...roomConfig,
  ranges: nullable(Type.Array(range, { maxItems: MAX_SLIDING_ELEMENTS })),
  slow_get_all_rooms: nullable(Type.Boolean()),
  filters: nullable(Type.Object({ ...listFilters, is_invite: nullable(Type.Boolean()) })),
})

/** Spec: MSC4186 in its unstable form, which goes back to MSC3575. */
export const slidingSync = endpoint({
  method: 'post',
  path: '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
  auth: 'user',
  when: (config) => config.experimental.sliding_sync,
  query: Type.Object({
    pos: Type.Optional(Type.String()),
    timeout: Type.Optional(Type.Integer({ minimum: 0 })),
    set_presence: Type.Optional(Type.String()),
  }),
  body: commonBody(list, Type.Object(roomConfig)),
  async handle(ctx, call) {
    const { requester, query, body } = call
    const config = (one: { timeline_limit: number; required_state: [string, string][] }) => ({
      timelineLimit: one.timeline_limit,
      required: requiredStateOfPairs(one.required_state, requester.userId),
    })
    const answer = await slidingAnswerTo(ctx, call, {
      pos: query.pos,
      timeout: query.timeout,
      lists: Object.entries(body.lists ?? {}).map(([name, one]) => {
        const { is_invite: isInvited, ...filters } = one.filters ?? {}
        const ranges = one.slow_get_all_rooms ? undefined : (one.ranges ?? undefined)
        return [name, { ...config(one), ranges, filters: { ...filters, is_invited: isInvited ?? null } }]
      }),
      subscriptions: Object.entries(body.room_subscriptions ?? {}).map(([roomId, one]) => [roomId, config(one)]),
    })
    return rawJson(unstableForm(answer))
  },
})
