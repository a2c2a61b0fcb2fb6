import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { unsubscribePath } from '../../push/mail-digests.ts'
import { deletePusherByToken, pusherByToken } from '../../storage/mail-digests.ts'
import { longestToken, showPage } from './page.ts'

const query = Type.Object({ token: Type.Optional(Type.String({ maxLength: longestToken, pattern: '^[\\w-]*$' })) })
const when = (config: { mail: { host?: string } }) => config.mail.host !== undefined

/** The page behind the link with which mails about unread messages are ended. */
export const getUnsubscribe = endpoint({
  method: 'get',
  path: unsubscribePath,
  auth: 'none',
  when,
  query,
  async handle(ctx, { query, request, response }) {
    const [pusher] = await ctx.database.read(pusherByToken, [query.token ?? ''])
    if (!pusher) return showPage(ctx, { request, response }, 'ended')
    showPage(ctx, { request, response }, 'unsubscribe', { field: '', nextLink: null })
  },
})

/** What its button does, and the one of a mail program: RFC 8058. */
export const unsubscribe = endpoint({
  method: 'post',
  path: unsubscribePath,
  auth: 'none',
  when,
  raw: true,
  query,
  async handle(ctx, { query, request, response }) {
    const [deleted] = await ctx.database.read(deletePusherByToken, [query.token ?? ''])
    if (deleted) ctx.invalidations.publish('pushers', `${deleted.user_nid}`)
    showPage(ctx, { request, response }, 'ended')
  },
})
