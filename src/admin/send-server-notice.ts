import { Type } from '@sinclair/typebox'
import type { Context } from '../context.ts'
import { endpoint } from '../http/endpoint.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { sendServerNotice as send } from '../server-notices/send-server-notice.ts'
import { localAccount } from './local-account.ts'
import { userIdText } from './parsers.ts'

const body = Type.Object({
  user_id: userIdText,
  type: Type.Optional(Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' })),
  state_key: Type.Optional(Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })),
  content: Type.Unsafe<JsonObject>(Type.Object({})),
})

type Notice = { user_id: string; type?: string; state_key?: string; content: JsonObject }

async function sendTo(ctx: Context, notice: Notice, txnId: string | undefined) {
  const account = await localAccount(ctx, notice.user_id as UserId)
  if (account.deactivated_at !== null) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
  const eventId = await send(ctx, account, {
    type: notice.type ?? 'm.room.message',
    stateKey: notice.state_key,
    content: notice.content,
    txnId,
  })
  return { event_id: eventId }
}

export const sendServerNotice = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/send_server_notice',
  auth: 'admin',
  body,
  handle: (ctx, { body }) => sendTo(ctx, body, undefined),
})

/** With a transaction id, so that it can be repeated. */
export const putServerNotice = endpoint({
  method: 'put',
  path: '/_synapse/admin/v1/send_server_notice/{txnId}',
  auth: 'admin',
  params: { txnId: (text: string) => (text !== '' && text.length <= 255 ? text : undefined) },
  body,
  handle: (ctx, { params, body, requester }) => sendTo(ctx, body, `${requester.userId} ${params.txnId}`),
})
