import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../config.ts'
import { escapeHtml, linesAsHtml, linkAsHtml, paragraphsAsHtml } from './html.ts'
import { type Language, languages } from './languages.ts'

/** Which mails there are, and what each can name. */
const mails = {
  /** The address of a new account is to be proved. */
  register: ['app_name', 'server_name', 'link', 'minutes'],
  /** A further address of an account. */
  add: ['app_name', 'server_name', 'link', 'minutes'],
  password: ['app_name', 'server_name', 'link', 'minutes', 'user_id'],
  /** Somebody wants to use an address that an account has already. */
  taken: ['app_name', 'server_name', 'user_id'],
  /** What is unread. */
  notification: ['app_name', 'server_name', 'user_id', 'rooms', 'count', 'unsubscribe'],
} as const

export type MailName = keyof typeof mails
export type MailValues<Name extends MailName> = { readonly [Key in (typeof mails)[Name][number]]: string }

/** Values that are the address of a page. */
const links: readonly string[] = ['link', 'unsubscribe']
/** What the frame around a mail in HTML can name. `body` is the text of the mail. */
const frameValues = ['language', 'subject', 'body', 'app_name', 'server_name'] as const

const pageValues = ['language', 'title', 'text', 'action', 'app_name'] as const
export type PageValues = { readonly [Key in (typeof pageValues)[number]]: string }

/** The same mail twice: for programs that show HTML, and for those that don't. */
export type MailTexts = { readonly subject: string; readonly text: string; readonly html: string }

/** The texts of mails and pages: ours, or the operator's in their place. */
export type Templates = {
  mail<Name extends MailName>(name: Name, language: Language, values: MailValues<Name>): MailTexts
  /** HTML. `action` is HTML already, everything else is escaped. */
  page(values: PageValues): string
}

const ours = join(import.meta.dirname, 'templates')

/**
 * Reads all templates at once: `NAME.LANGUAGE.txt` for mails, whose first line is the subject, `mail.html` for the frame that their
 * text has in HTML, or `NAME.LANGUAGE.html` for one mail's own, and `page.html`.
 *
 * @param folder Files in it take the place of ours.
 * @throws ConfigError for a template that names what there is not, or a mail without a subject.
 */
export function loadTemplates(folder: string | undefined): Templates {
  const texts = new Map<string, { subject: string; text: string; frame: string }>()
  const frame = read(folder, 'mail.html', frameValues)
  for (const [name, values] of Object.entries(mails)) {
    for (const language of languages) {
      const file = `${name}.${language}.txt`
      const content = read(folder, file, values)
      const [, subject, text] = /^([^\r\n]*\S[^\r\n]*)\r?\n(?:\r?\n)?([\s\S]*)$/.exec(content) ?? []
      if (subject === undefined) throw new ConfigError([`mail.templates_dir: ${file} has no subject in its first line`])
      const own = readIn(folder, `${name}.${language}.html`, [...frameValues, ...values])
      texts.set(`${name} ${language}`, { subject, text: text!, frame: own ?? frame })
    }
  }
  const page = read(folder, 'page.html', pageValues)
  return {
    mail(name, language, values) {
      const template = texts.get(`${name} ${language}`)!
      const subject = fill(template.subject, values, oneLine)
      const body = fill(paragraphsAsHtml(template.text), values, (value, key) =>
        links.includes(key) ? linkAsHtml(value) : linesAsHtml(plain(value)),
      )
      const html = fill(template.frame, { ...values, language, subject, body }, (value, key) =>
        key === 'body' ? value : linesAsHtml(plain(value)),
      )
      return { subject, text: fill(template.text, values, plain), html }
    },
    page: (values) => fill(page, { ...values }, (value, key) => (key === 'action' ? value : escapeHtml(value))),
  }
}

const place = /\{\{\s*(\w+)\s*\}\}/g

/** The operator's, or ours. */
function read(folder: string | undefined, file: string, known: readonly string[]): string {
  return readIn(folder, file, known) ?? readIn(ours, file, known)!
}

function readIn(folder: string | undefined, file: string, known: readonly string[]): string | undefined {
  const content = folder === undefined ? undefined : readIfThere(join(folder, file))
  for (const [, name] of content?.matchAll(place) ?? []) {
    if (!known.includes(name!)) {
      throw new ConfigError([`mail.templates_dir: ${file} names {{${name}}}; it can name ${known.join(', ')}`])
    }
  }
  return content
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new ConfigError([`mail.templates_dir: ${path} cannot be read`])
  }
}

function fill(
  template: string,
  values: { readonly [name: string]: string },
  form: (value: string, name: string) => string,
): string {
  return template.replaceAll(place, (_, name: string) => form(values[name]!, name))
}

/** Names that users choose cannot end the subject, nor turn the direction of what follows. */
function oneLine(value: string): string {
  return plain(value).replaceAll(/\s+/g, ' ')
}

function plain(value: string): string {
  return value.replaceAll(/[[\p{Cc}--\n]\u202a-\u202e\u2066-\u2069]/gv, '')
}
