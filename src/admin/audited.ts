import type { IncomingMessage } from 'node:http'
import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { clientAuthentication } from '../http/authentication.ts'
import type { AnyCall, Endpoint } from '../http/endpoint.ts'
import { Reply } from '../http/response.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { insertAuditEntry, insertAuditOutcome } from '../storage/audit.ts'

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
  const operation = `${endpoint.method.toUpperCase()} ${endpoint.paths[0]}`
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
      const [row] = await ctx.database.read(insertAuditEntry, [
        ctx.clock.now(),
        trace.actor!.userId,
        call.address,
        operation,
        targetOf(call),
        detailsOf(call),
      ])
      trace.entry = row!.entry
      return endpoint.handle(ctx, call)
    },
    async around(ctx, { request, address }, work) {
      const trace: Trace = { actor: undefined, entry: undefined }
      traces.set(request, trace)
      try {
        const result = await work()
        await noteOutcome(ctx, trace.entry!, { status: result instanceof Reply ? result.status : 200 })
        return result
      } catch (error) {
        if (trace.actor?.isAdmin !== true) await ctx.rateLimits.take('admin_refused', address)
        await noteFailure(ctx, trace, { address, operation, error })
        throw error
      }
    },
  }
}

async function noteFailure(
  ctx: Context,
  trace: Trace,
  call: { readonly address: string; readonly operation: string; readonly error: unknown },
): Promise<void> {
  let { entry } = trace
  if (entry === undefined) {
    const values = [ctx.clock.now(), trace.actor?.userId ?? null, call.address, call.operation, null, null]
    entry = (await ctx.database.read(insertAuditEntry, values))[0]!.entry
  }
  const { error } = call
  const outcome = error instanceof MatrixError ? error : { status: 500, errcode: 'M_UNKNOWN' }
  await noteOutcome(ctx, entry, outcome)
}

async function noteOutcome(
  ctx: Context,
  entry: number,
  outcome: { readonly status: number; readonly errcode?: string },
): Promise<void> {
  await ctx.database.read(insertAuditOutcome, [entry, ctx.clock.now(), outcome.status, outcome.errcode ?? null])
}

/** What the call is about: a parameter of the path, or the user whom the body names. */
function targetOf({ params, body }: AnyCall): string | null {
  if (params.serverName !== undefined && params.mediaId !== undefined) {
    return `mxc://${params.serverName}/${params.mediaId}`
  }
  const first = Object.entries(params).find(([name]) => name !== 'token')
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
