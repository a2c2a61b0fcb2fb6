import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { cancelDelayedEvent, restartDelayedEvent } from '../../storage/delayed-events.ts'

type Action = 'cancel' | 'restart' | 'send'

const path = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}'

function parseDelayId(text: string): string | undefined {
  return /^[\w-]{1,64}$/.test(text) ? text : undefined
}

/** Whoever knows the id may do it: a call's own server ends the membership of a client that has gone. */
const open = {
  method: 'post',
  auth: 'none',
  params: { delayId: parseDelayId },
  when: (config: Context['config']) => config.experimental.msc4140,
  rateLimit: { kind: 'delayed_events', by: 'address' },
} as const

async function act(ctx: Context, delayId: string, action: Action): Promise<object> {
  const isDone =
    action === 'send'
      ? await ctx.delayedEvents.send(delayId)
      : action === 'cancel'
        ? (await ctx.database.read(cancelDelayedEvent, [delayId])).length > 0
        : (await ctx.database.read(restartDelayedEvent, [delayId, ctx.clock.now()])).length > 0
  if (!isDone) throw new MatrixError('M_NOT_FOUND', 'There is no such delayed event')
  if (action === 'restart') ctx.delayedEvents.changed()
  return {}
}

/** The earlier form, with the action in the body. Spec: MSC4140. */
export const updateDelayed = endpoint({
  ...open,
  path,
  body: Type.Object({ action: Type.Union([Type.Literal('cancel'), Type.Literal('restart'), Type.Literal('send')]) }),
  handle: (ctx, { params, body }) => act(ctx, params.delayId, body.action),
})

/** Spec: MSC4140, `POST /delayed_events/{delay_id}/cancel`. */
export const cancelDelayed = endpoint({
  ...open,
  path: `${path}/cancel`,
  handle: (ctx, { params }) => act(ctx, params.delayId, 'cancel'),
})

/** Spec: MSC4140, `POST /delayed_events/{delay_id}/restart`. */
export const restartDelayed = endpoint({
  ...open,
  path: `${path}/restart`,
  handle: (ctx, { params }) => act(ctx, params.delayId, 'restart'),
})

/** Spec: MSC4140, `POST /delayed_events/{delay_id}/send`. */
export const sendDelayed = endpoint({
  ...open,
  path: `${path}/send`,
  handle: (ctx, { params }) => act(ctx, params.delayId, 'send'),
})
