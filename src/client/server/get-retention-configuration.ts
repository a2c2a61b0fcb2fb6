import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import type { JsonObject } from '../../matrix/json.ts'

/**
 * What the operator declares about how long messages are kept.
 *
 * Spec: MSC1763, `GET /retention/configuration`.
 *
 * @TODO delete what is older.
 */
export const getRetentionConfiguration = endpoint({
  method: 'get',
  path: '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration',
  auth: 'user',
  when: (config) => config.experimental.msc1763,
  handle(ctx) {
    const { default_policy: policy, limits } = ctx.config.retention
    const declared = milliseconds(policy)
    const bounds = Object.entries(limits).map(([name, limit]) => [name, milliseconds(limit)] as const)
    return {
      policies: Object.keys(declared).length === 0 ? {} : { '*': declared },
      limits: Object.fromEntries(bounds.filter(([, limit]) => Object.keys(limit).length > 0)),
    }
  },
})

type Seconds =
  | Context['config']['retention']['default_policy']
  | Context['config']['retention']['limits']['min_lifetime']

/** `min_lifetime_seconds` becomes `min_lifetime` in milliseconds, and so on. */
function milliseconds(seconds: Seconds): JsonObject {
  return Object.fromEntries(
    Object.entries(seconds).map(([name, value]) => [name.replace(/_seconds$/, ''), value * 1000]),
  )
}
