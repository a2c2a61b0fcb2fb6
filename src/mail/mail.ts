import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { Language } from './languages.ts'
import { createMailer, type Message } from './mailer.ts'
import { loadTemplates, type MailName, type MailValues, type Templates } from './templates.ts'

/** Mail to users, in a deployment that sends it. */
export type Mail = {
  readonly page: Templates['page']
  /** @throws Error when the mail server does not take it. */
  send<Name extends MailName>(to: string, name: Name, language: Language, values: MailValues<Name>): Promise<void>
  /** As `send`, in the background. */
  post<Name extends MailName>(to: string, name: Name, language: Language, values: MailValues<Name>): void
  /** Messages that are to be sent. */
  readonly waiting: number
  close(): Promise<void>
}

/** @returns undefined where no mail server is configured. @throws ConfigError */
export function createMail(ctx: { readonly config: Config; readonly log: Logger }): Mail | undefined {
  if (ctx.config.mail.host === undefined) return undefined
  const templates = loadTemplates(ctx.config.mail.templates_dir)
  const mailer = createMailer(ctx.config, ctx.log)
  function message<Name extends MailName>(
    to: string,
    name: Name,
    language: Language,
    values: MailValues<Name>,
  ): Message {
    const unsubscribe = 'unsubscribe' in values ? { unsubscribe: String(values.unsubscribe) } : {}
    return { to, language, ...templates.mail(name, language, values), ...unsubscribe }
  }
  return {
    page: templates.page,
    send: (to, name, language, values) => mailer.send(message(to, name, language, values)),
    get waiting() {
      return mailer.waiting
    },
    post: (to, name, language, values) => mailer.post(message(to, name, language, values)),
    close: mailer.close,
  }
}
