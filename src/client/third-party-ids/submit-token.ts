import type { ServerResponse } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { Request } from 'express'
import type { Context } from '../../context.ts'
import { readBody } from '../../http/body.ts'
import { endpoint } from '../../http/endpoint.ts'
import { setCommonHeaders } from '../../http/response.ts'
import { type Language, languageOf } from '../../mail/languages.ts'
import { pageTexts } from '../../mail/page-texts.ts'
import { escapeHtml } from '../../mail/templates.ts'
import { confirm, mailOf, submitTokenPath, validationOf } from '../../mail/validations.ts'

type Exchange = { readonly request: Request; readonly response: ServerResponse }

/** The longest token there is, with room for more in it. */
const longestToken = 255
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
    showPage(ctx, { request, response }, found.purpose, { token, nextLink: found.next_link })
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

function showPage(
  ctx: Context,
  { request, response }: Exchange,
  kind: keyof ReturnType<typeof pageTexts>,
  offer?: { readonly token: string; readonly nextLink: string | null },
): void {
  const language: Language = languageOf(request.headers['accept-language'], ctx.config.mail.default_language)
  const { title, text, button } = pageTexts(language)[kind]
  const html = mailOf(ctx).page({
    language,
    title,
    text,
    app_name: ctx.config.mail.app_name,
    action: offer === undefined || button === undefined ? '' : formOf(offer.token, button),
  })
  // A browser holds the redirect after the form to this, too.
  const targets = ["'self'", ...(offer?.nextLink == null ? [] : [new URL(offer.nextLink).origin])]
  setCommonHeaders(response)
  response.setHeader(
    'Content-Security-Policy',
    `default-src 'none'; form-action ${targets.join(' ')}; base-uri 'none'; frame-ancestors 'none'`,
  )
  response.writeHead(kind === 'failed' ? 400 : 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Robots-Tag': 'noindex',
  })
  response.end(html)
}

function formOf(token: string, button: string): string {
  return `<form method="post"><input type="hidden" name="token" value="${escapeHtml(token)}">
<button type="submit">${escapeHtml(button)}</button></form>`
}
