import { Type } from '@sinclair/typebox'
import { readBody } from '../../http/body.ts'
import { endpoint } from '../../http/endpoint.ts'
import { setCommonHeaders } from '../../http/response.ts'
import { escapeHtml } from '../../mail/html.ts'
import { confirm, submitTokenPath, validationOf } from '../../mail/validations.ts'
import { longestToken, showPage } from './page.ts'

const bodyLimit = 1024

/**
 * The page behind the link of a mail. It asks for one more click: what reads mails before people do opens links, and must
 * prove nothing by it.
 */
export const getSubmitToken = endpoint({
  method: 'get',
  path: submitTokenPath,
  auth: 'none',
  when: (config) => config.mail.host !== undefined,
  query: Type.Object({ token: Type.Optional(Type.String({ maxLength: longestToken })) }),
  async handle(ctx, { query, request, response }) {
    const { token = '' } = query
    const found = token === '' ? undefined : await validationOf(ctx, token)
    if (!found) return showPage(ctx, { request, response }, 'failed')
    const field = `<input type="hidden" name="token" value="${escapeHtml(token)}">`
    showPage(ctx, { request, response }, found.purpose, { field, nextLink: found.next_link })
  },
})

/** What the button of that page does. */
export const submitToken = endpoint({
  method: 'post',
  path: submitTokenPath,
  auth: 'none',
  when: (config) => config.mail.host !== undefined,
  raw: true,
  async handle(ctx, { request, response, address }) {
    const form = new URLSearchParams((await readBody(request, bodyLimit)).toString())
    const token = form.get('token') ?? ''
    await ctx.rateLimits.check('mail_wrong_tokens', address)
    const confirmed = token === '' || token.length > longestToken ? undefined : await confirm(ctx, token)
    if (!confirmed) {
      await ctx.rateLimits.take('mail_wrong_tokens', address)
      return showPage(ctx, { request, response }, 'failed')
    }
    if (confirmed.next_link === null) return showPage(ctx, { request, response }, 'done')
    setCommonHeaders(response)
    response.writeHead(303, { Location: confirmed.next_link, 'Cache-Control': 'no-store' })
    response.end()
  },
})
