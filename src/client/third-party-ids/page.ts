import type { ServerResponse } from 'node:http'
import type { Request } from 'express'
import type { Context } from '../../context.ts'
import { setCommonHeaders } from '../../http/response.ts'
import { escapeHtml } from '../../mail/html.ts'
import { type Language, languageOf } from '../../mail/languages.ts'
import { pageTexts } from '../../mail/page-texts.ts'
import { mailOf } from '../../mail/validations.ts'

type Exchange = { readonly request: Request; readonly response: ServerResponse }

/** The longest token there is, with room for more in it. */
export const longestToken = 255

/**
 * Answers with a page, in the language the browser asks for.
 *
 * @param offer The page has a button; `field` is HTML, and goes with it.
 */
export function showPage(
  ctx: Context,
  { request, response }: Exchange,
  kind: keyof ReturnType<typeof pageTexts>,
  offer?: { readonly field: string; readonly nextLink: string | null },
): void {
  const language: Language = languageOf(request.headers['accept-language'], ctx.config.mail.default_language)
  const { title, text, button } = pageTexts(language)[kind]
  const html = mailOf(ctx).page({
    language,
    title,
    text,
    app_name: ctx.config.mail.app_name,
    action: offer === undefined || button === undefined ? '' : formOf(offer.field, button),
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

function formOf(field: string, button: string): string {
  return `<form method="post">${field}<button type="submit">${escapeHtml(button)}</button></form>`
}
