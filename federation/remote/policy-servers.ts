import { LRUCache } from 'lru-cache'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import type { RoomRules } from '../../src/matrix/room-versions.ts'
import { POLICY_SERVER_KEY_ID } from '../../src/matrix/signatures.ts'
import { pause } from '../../src/pause.ts'
import { isRecommended, type PolicyServer, recommendHere, withPolicySignature } from '../../src/rooms/policy-server.ts'
import { upTo } from '../../src/storage/caches.ts'
import type { Federation } from '../federation.ts'
import { RemoteRefusal } from './client.ts'
import { objectOf } from './membership-template.ts'

/** Milliseconds for one answer: a client waits for it, or the rest of a transaction. */
const patience = 10_000
/** Milliseconds: longer than this nobody waits to be let ask again. */
const longestPause = 2_000
/** Bytes of an answer, which clients get to see where it is a refusal. */
const maxAnswerBytes = 16_384
const mostRemembered = 10_000
/** Milliseconds for which an answer counts: what a policy server said of an event it does not take back. */
const rememberedFor = 3_600_000
/** Milliseconds for which nobody is asked again about an event that there was no answer to: it may be looked at often. */
const unansweredFor = 60_000

/** Codes by which clients are told about their own session or what their server can do: not for others to say. */
const notTheirs: ReadonlySet<unknown> = new Set([
  'M_UNKNOWN_TOKEN',
  'M_MISSING_TOKEN',
  'M_UNAUTHORIZED',
  'M_UNRECOGNIZED',
  'M_USER_LOCKED',
  'M_USER_SUSPENDED',
  'M_USER_DEACTIVATED',
  'M_CONSENT_NOT_GIVEN',
  'M_RESOURCE_LIMIT_EXCEEDED',
])

export type PolicyServers = {
  /**
   * The event with the signature of a policy server, whether it had it already or is given it now.
   *
   * @param origin The domain of ours that asks.
   * @throws MatrixError what the policy server refuses it with; M_CONNECTION_FAILED.
   */
  recommend(event: RoomEvent, rules: RoomRules, policy: PolicyServer, origin: ServerName): Promise<RoomEvent>
}

/** Asks policy servers; those who want to know the same at the same time wait for the same answer. */
export function createPolicyServers({
  ctx,
  client,
  metrics,
}: Pick<Federation, 'ctx' | 'client' | 'metrics'>): PolicyServers {
  const answers = new LRUCache<string, Promise<string>>({ ...upTo(mostRemembered), ttl: rememberedFor })

  const askOnce = async (event: RoomEvent, server: ServerName, origin: ServerName): Promise<string> => {
    const { unsigned: _unsigned, ...body } = event.pdu
    const answer = await client.send(server, {
      method: 'POST',
      uri: '/_matrix/policy/v1/sign',
      body: body as unknown as JsonObject,
      origin,
      timeout: patience,
      maxBytes: maxAnswerBytes,
    })
    const signature = objectOf(answer[server])[POLICY_SERVER_KEY_ID]
    if (typeof signature !== 'string') throw unsigned()
    return signature
  }

  /** Once more where that may help: a connection that broke, or a limit that is over soon. */
  const ask = async (event: RoomEvent, server: ServerName, origin: ServerName): Promise<string> => {
    try {
      return await askOnce(event, server, origin)
    } catch (error) {
      const wait = pauseAfter(error)
      if (wait === undefined) throw reasonFor(error)
      await pause(wait, ctx.closing)
      return askOnce(event, server, origin).catch((again: unknown) => {
        throw reasonFor(again)
      })
    }
  }

  const remembered = (event: RoomEvent, server: ServerName, origin: ServerName): Promise<string> => {
    const key = `${server} ${event.eventId}`
    const known = answers.get(key)
    if (known) return known
    const asking = ask(event, server, origin)
    answers.set(key, asking)
    asking.then(
      () => metrics.policyChecked('recommended'),
      (error: unknown) => {
        metrics.policyChecked(isFinal(error) ? 'refused' : 'unanswered')
        if (!isFinal(error) && answers.peek(key) === asking) answers.set(key, asking, { ttl: unansweredFor })
      },
    )
    return asking
  }

  return {
    async recommend(event, rules, policy, origin) {
      const { server, publicKey } = policy
      if (isRecommended(event, policy, rules)) return event
      if (ctx.domains.isLocal(server)) return recommendHere(ctx, event, rules, policy)
      if (!publicKey) throw new MatrixError('M_FORBIDDEN', 'The policy server of this room has no usable key')
      const signed = withPolicySignature(event, server, await remembered(event, server, origin))
      if (isRecommended(signed, policy, rules)) return signed
      // It may have been given by a key that the room has replaced since.
      answers.delete(`${server} ${event.eventId}`)
      throw unsigned()
    },
  }
}

function unsigned(): MatrixError {
  return new MatrixError('M_FORBIDDEN', 'The policy server of this room has not signed the event')
}

/** Milliseconds after which asking again may help. */
function pauseAfter(error: unknown): number | undefined {
  if (error instanceof MatrixError) return error.errcode === 'M_CONNECTION_FAILED' ? 0 : undefined
  if (!(error instanceof RemoteRefusal)) return undefined
  if (error.status >= 500) return 0
  const { retry_after_ms: wait } = error.body
  if (error.status !== 429) return undefined
  return typeof wait === 'number' && wait >= 0 && wait <= longestPause ? wait : undefined
}

/** Whether the policy server has said what it thinks of the event, and not only that it could not. */
function isFinal(error: unknown): boolean {
  return error instanceof MatrixError && error.status === 400
}

/** "If the Policy Server returned an error, that error SHOULD be provided to the client verbatim." */
function reasonFor(error: unknown): unknown {
  if (!(error instanceof RemoteRefusal)) return error
  const { status, body } = error
  if (
    status === 401 ||
    status < 400 ||
    status >= 500 ||
    typeof body.errcode !== 'string' ||
    notTheirs.has(body.errcode)
  ) {
    return new MatrixError('M_CONNECTION_FAILED', 'The policy server of this room does not answer')
  }
  return new MatrixError('M_FORBIDDEN', 'The policy server of this room refuses the event', { status, extra: body })
}
