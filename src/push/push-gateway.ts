import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { parseJsonBytes } from '../matrix/strict-json.ts'
import { createAddressPolicy } from '../net/addresses.ts'
import { createOutgoing } from '../net/outgoing.ts'
import type { PusherRow } from '../storage/pushers.ts'
import { notificationOf, unreadNotificationOf } from './notification.ts'
import type { PusherKind, PushResult } from './pusher-kinds.ts'

/** Milliseconds a gateway has to answer. */
const timeout = 10_000
const maxAnswerBytes = 64 * 1024
/** Spec: Client-Server API, `POST /pushers/set`. */
const notifyPath = '/_matrix/push/v1/notify'

/**
 * Pushers of kind `http`.
 *
 * Spec: Push Gateway API (v1.19).
 */
export function createPushGateway(ctx: Pick<Context, 'config'>): PusherKind & { close(): Promise<void> } {
  const { allow_addresses: exempt, allow_insecure_http: isInsecureAllowed, include_content: content } = ctx.config.push
  const outgoing = createOutgoing(createAddressPolicy(exempt))

  const notify = async (pusher: PusherRow, body: JsonObject): Promise<PushResult> => {
    const url = new URL((JSON.parse(pusher.data) as { url: string }).url)
    const answer = await outgoing.send({
      method: 'POST',
      url,
      body: JSON.stringify(body),
      timeout,
      maxBytes: maxAnswerBytes,
    })
    if (answer.status < 200 || answer.status > 299) throw new Error(`the push gateway answered ${answer.status}`)
    return rejectedIn(answer.body).includes(pusher.pushkey) ? 'rejected' : 'sent'
  }

  return {
    check({ data }) {
      if (typeof data.url !== 'string') throw new MatrixError('M_MISSING_PARAM', 'Missing: data.url')
      if (data.format !== undefined && typeof data.format !== 'string') {
        throw new MatrixError('M_BAD_JSON', 'Not valid: data.format')
      }
      const url = URL.parse(data.url)
      const isSafe = url?.protocol === 'https:' || (isInsecureAllowed && url?.protocol === 'http:')
      if (!url || !isSafe || url.username !== '' || url.password !== '') {
        throw new MatrixError('M_INVALID_PARAM', 'data.url: expected an HTTPS URL')
      }
      if (url.pathname !== notifyPath) {
        throw new MatrixError('M_INVALID_PARAM', `data.url: expected a URL with the path ${notifyPath}`)
      }
    },
    push: (pusher, event) => notify(pusher, notificationOf(pusher, event, { content })),
    showUnread: (pusher, unread) => notify(pusher, unreadNotificationOf(pusher, unread)),
    close: () => outgoing.close(),
  }
}

/** @throws Error for what is no answer of a push gateway. */
function rejectedIn(body: Buffer): readonly unknown[] {
  const json = parseJsonBytes(body) as { rejected?: unknown }
  return Array.isArray(json.rejected) ? json.rejected : []
}
