import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { Json } from '../../matrix/json.ts'
import { addRule, parsePushKind, removeRule, setActions, setEnabled } from '../../matrix/push-rules/edit.ts'
import type { PushRule } from '../../matrix/push-rules/types.ts'

/** Bytes: a rule is at most 1 KiB, which is checked more closely when it is stored. */
const bodyLimit = 16 * 1024

const roots = ['/_matrix/client/v3/pushrules', '/_matrix/client/r0/pushrules'] as const
const rule = [
  '/_matrix/client/v3/pushrules/global/{kind}/{ruleId}',
  '/_matrix/client/r0/pushrules/global/{kind}/{ruleId}',
] as const
const params = { kind: parsePushKind }

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushrules/` (v1.19); clients ask with and without the last slash. */
export const getPushRules = endpoint({
  method: 'get',
  path: [`${roots[0]}/`, roots[0], `${roots[1]}/`, roots[1]],
  auth: 'user',
  handle: (ctx, { requester }) => ctx.pushRules.content(requester),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushrules/global/` (v1.19). */
export const getPushRulesGlobal = endpoint({
  method: 'get',
  path: [`${roots[0]}/global/`, `${roots[0]}/global`, `${roots[1]}/global/`, `${roots[1]}/global`],
  auth: 'user',
  handle: (ctx, { requester }) => ctx.pushRules.ruleset(requester),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}` (v1.19). */
export const getPushRule = endpoint({
  method: 'get',
  path: rule,
  auth: 'user',
  params,
  async handle(ctx, { params, requester }) {
    return findRule(await ctx.pushRules.ruleset(requester), params)
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}` (v1.19). */
export const setPushRule = endpoint({
  method: 'put',
  path: rule,
  auth: 'user',
  params,
  bodyLimit,
  query: Type.Object({ before: Type.Optional(Type.String()), after: Type.Optional(Type.String()) }),
  body: anyObject,
  async handle(ctx, { params, query, body, requester }) {
    await ctx.pushRules.change(requester, (stored) =>
      addRule(stored, params.kind, params.ruleId, body, { before: query.before, after: query.after }),
    )
    return {}
  },
})

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}` (v1.19). */
export const deletePushRule = endpoint({
  method: 'delete',
  path: rule,
  auth: 'user',
  params,
  async handle(ctx, { params, requester }) {
    await ctx.pushRules.change(requester, (stored) =>
      removeRule(stored, params.kind, params.ruleId, ctx.config.experimental),
    )
    return {}
  },
})

const enabled = [`${rule[0]}/enabled`, `${rule[1]}/enabled`] as const
const actions = [`${rule[0]}/actions`, `${rule[1]}/actions`] as const

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled` (v1.19). */
export const isPushRuleEnabled = endpoint({
  method: 'get',
  path: enabled,
  auth: 'user',
  params,
  async handle(ctx, { params, requester }) {
    return { enabled: findRule(await ctx.pushRules.ruleset(requester), params).enabled }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled` (v1.19). */
export const setPushRuleEnabled = endpoint({
  method: 'put',
  path: enabled,
  auth: 'user',
  params,
  body: Type.Object({ enabled: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    await ctx.pushRules.change(requester, (stored) =>
      setEnabled(stored, params.kind, params.ruleId, body.enabled, ctx.config.experimental),
    )
    return {}
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions` (v1.19). */
export const getPushRuleActions = endpoint({
  method: 'get',
  path: actions,
  auth: 'user',
  params,
  async handle(ctx, { params, requester }) {
    return { actions: findRule(await ctx.pushRules.ruleset(requester), params).actions }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions` (v1.19). */
export const setPushRuleActions = endpoint({
  method: 'put',
  path: actions,
  auth: 'user',
  params,
  bodyLimit,
  body: Type.Object({ actions: Type.Array(Type.Unknown()) }),
  async handle(ctx, { params, body, requester }) {
    await ctx.pushRules.change(requester, (stored) =>
      setActions(stored, params.kind, params.ruleId, body.actions as Json, ctx.config.experimental),
    )
    return {}
  },
})

type Place = { readonly kind: keyof Awaited<ReturnType<Rules>>; readonly ruleId: string }
type Rules = import('../../push/push-rules.ts').PushRules['ruleset']

/** @throws MatrixError M_NOT_FOUND */
function findRule(ruleset: Awaited<ReturnType<Rules>>, { kind, ruleId }: Place): PushRule {
  const found = ruleset[kind]?.find((one) => one.rule_id === ruleId)
  if (!found) throw new MatrixError('M_NOT_FOUND', 'No such push rule')
  return found
}
