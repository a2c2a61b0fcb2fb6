import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MAX_SLIDING_ELEMENTS } from '../../matrix/limits.ts'
import { requiredStateOfElements, type StateElement } from '../../sync/sliding/required-state.ts'
import { v4Form } from '../../sync/sliding/v4-form.ts'
import { slidingAnswerTo } from './sliding-request.ts'
import { commonBody, listFilters, nullable, range, timelineLimit } from './sliding-schemas.ts'

const element = Type.Object({ type: Type.Optional(Type.String()), state_key: Type.Optional(Type.String()) })
const elements = Type.Optional(Type.Array(element, { maxItems: MAX_SLIDING_ELEMENTS }))
const roomConfig = {
  timeline_limit: timelineLimit,
  required_state: Type.Object({ include: elements, exclude: elements, lazy_members: Type.Optional(Type.Boolean()) }),
}
const list = Type.Object({
  ...roomConfig,
  range: Type.Optional(range),
  filters: Type.Optional(Type.Object({ ...listFilters, is_invited: nullable(Type.Boolean()) })),
})
const common = commonBody(list, Type.Object(roomConfig))

type Config = {
  timeline_limit: number
  required_state: { include?: StateElement[]; exclude?: StateElement[]; lazy_members?: boolean }
}

/** Spec: MSC4186 as it was accepted: `POST /_matrix/client/v4/sync`. */
export const slidingSyncV4 = endpoint({
  method: 'post',
  path: '/_matrix/client/v4/sync',
  auth: 'user',
  when: (config) => config.experimental.sliding_sync,
  body: Type.Object({
    ...common.properties,
    pos: Type.Optional(Type.String()),
    timeout: Type.Optional(Type.Integer({ minimum: 0 })),
    set_presence: Type.Optional(
      Type.Union([Type.Literal('offline'), Type.Literal('online'), Type.Literal('unavailable')]),
    ),
  }),
  async handle(ctx, call) {
    const { body } = call
    const config = (one: Config) => ({
      timelineLimit: one.timeline_limit,
      required: requiredStateOfElements(one.required_state),
    })
    const answer = await slidingAnswerTo(ctx, call, {
      pos: body.pos,
      timeout: body.timeout,
      lists: Object.entries(body.lists ?? {}).map(([name, one]) => [
        name,
        { ...config(one), ranges: one.range && [one.range], filters: one.filters },
      ]),
      subscriptions: Object.entries(body.room_subscriptions ?? {}).map(([roomId, one]) => [roomId, config(one)]),
    })
    return rawJson(v4Form(answer))
  },
})
