import type { IncomingMessage } from 'node:http'
import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { insertAuditEntry, insertAuditOutcome } from '../storage/audit.ts'
import { clientAuthentication } from './authentication.ts'
import type { AnyCall, Endpoint } from './endpoint.ts'
import { Reply } from './response.ts'

/** What is known of a request so far. */
type Trace = { actor: Requester | undefined; entry: number | undefined }

const traces = new WeakMap<IncomingMessage, Trace>()

const longestDetails = 4000

/**
 * Makes an endpoint one for administrators: nobody else may call it, and every call leaves an entry in the audit trail. The
 * entry is written before anything is done, and its outcome before the answer is given; where neither can be, nothing
 * happens.
 *
 * Calls of nobody and of other users are noted too, as many as `rate_limits.admin_refused` lets through; the rest get
 * M_LIMIT_EXCEEDED.
 */
export function audited(endpoint: Endpoint): Endpoint {
  const { operation } = endpoint
  const identify = clientAuthentication({ auth: 'userOrGuest', method: endpoint.method, whileSuspended: true })
  return {
    ...endpoint,
    async authenticate(ctx, request, query) {
      const requester = (await identify(ctx, request, query))!
      traces.get(request)!.actor = requester
      if (!requester.isAdmin || requester.isSuspended) {
        throw new MatrixError('M_FORBIDDEN', 'You are not a server administrator')
      }
      return requester
    },
    async handle(ctx, call) {
      const trace = traces.get(call.request)!
      trace.entry = await noteAct(ctx, { ...actOf(call), actor: trace.actor!.userId, operation })
      return endpoint.handle(ctx, call)
    },
    async around(ctx, { request, address }, work) {
      const trace: Trace = { actor: undefined, entry: undefined }
      traces.set(request, trace)
      try {
        const result = await work()
        await noteOutcome(ctx, trace.entry!, resultOf(result))
        return result
      } catch (error) {
        if (trace.actor?.isAdmin !== true) await ctx.rateLimits.take('admin_refused', address)
        await noteFailure(ctx, trace, { address, operation, error })
        throw error
      }
    },
  }
}

/**
 * Notes what administrators do by an endpoint that is everybody's and lets them do more.
 *
 * @param isOwn Whether a call does nothing that its user could not do without being one.
 */
export function auditedForAdministrators(
  endpoint: Endpoint,
  isOwn: (call: AnyCall) => boolean = () => false,
): Endpoint {
  return {
    ...endpoint,
    async handle(ctx, call) {
      const requester = call.requester as Requester
      if (!requester.isAdmin || isOwn(call)) return endpoint.handle(ctx, call)
      const act = { ...actOf(call), actor: requester.userId, operation: endpoint.operation }
      return auditAct(ctx, act, async () => endpoint.handle(ctx, call))
    },
  }
}

/** What is done with an administrator's power. */
export type Act = {
  /** Null: somebody who has the server's secrets, or its machine. */
  readonly actor: UserId | null
  readonly address: string
  readonly operation: string
  readonly target: string | null
  /** JSON. */
  readonly details: string | null
}

/** Does something with an entry in the audit trail before and its outcome after it. */
export async function auditAct<Result>(
  ctx: Pick<Context, 'database' | 'clock'>,
  act: Act,
  work: () => Promise<Result>,
): Promise<Result> {
  const entry = await noteAct(ctx, act)
  try {
    const result = await work()
    await noteOutcome(ctx, entry, resultOf(result))
    return result
  } catch (error) {
    await noteOutcome(ctx, entry, failureOf(error))
    throw error
  }
}

function actOf(call: AnyCall): Pick<Act, 'address' | 'target' | 'details'> {
  return { address: call.address, target: targetOf(call), details: detailsOf(call) }
}

async function noteAct(ctx: Pick<Context, 'database' | 'clock'>, act: Act): Promise<number> {
  const values = [ctx.clock.now(), act.actor, act.address, act.operation, act.target, act.details]
  const [row] = await ctx.database.read(insertAuditEntry, values)
  return row!.entry
}

type Outcome = { readonly status: number; readonly errcode?: string }

function resultOf(result: unknown): Outcome {
  return { status: result instanceof Reply ? result.status : 200 }
}

function failureOf(error: unknown): Outcome {
  return error instanceof MatrixError ? error : { status: 500, errcode: 'M_UNKNOWN' }
}

async function noteFailure(
  ctx: Context,
  trace: Trace,
  call: { readonly address: string; readonly operation: string; readonly error: unknown },
): Promise<void> {
  let { entry } = trace
  if (entry === undefined) {
    const { address, operation } = call
    entry = await noteAct(ctx, { actor: trace.actor?.userId ?? null, address, operation, target: null, details: null })
  }
  await noteOutcome(ctx, entry, failureOf(call.error))
}

async function noteOutcome(ctx: Pick<Context, 'database' | 'clock'>, entry: number, outcome: Outcome): Promise<void> {
  await ctx.database.read(insertAuditOutcome, [entry, ctx.clock.now(), outcome.status, outcome.errcode ?? null])
}

/** Parameters that say of what kind the next one is, and secrets. */
const notTargets: ReadonlySet<string> = new Set(['token', 'medium', 'provider'])

/** What the call is about: a parameter of the path, or the user whom the body names. */
function targetOf({ params, body }: AnyCall): string | null {
  if (params.serverName !== undefined && params.mediaId !== undefined) {
    return `mxc://${params.serverName}/${params.mediaId}`
  }
  const first = Object.entries(params).find(([name]) => !notTargets.has(name))
  if (first) return first[1].slice(0, 255)
  const userId = (body as JsonObject | undefined)?.user_id
  return typeof userId === 'string' ? userId.slice(0, 255) : null
}

/** Numbers and truth values as they are; of texts, which may be secrets, only that they were given. */
function detailsOf({ body }: AnyCall): string | null {
  if (typeof body !== 'object' || body === null) return null
  const shown = Object.entries(body).map(([name, value]) => {
    const isPlain = typeof value === 'number' || typeof value === 'boolean' || value === null
    return [name, isPlain ? value : Array.isArray(value) ? 'array' : typeof value] as const
  })
  const text = JSON.stringify(Object.fromEntries(shown)).replaceAll('\\u0000', '')
  return text.length > longestDetails ? null : text
}
