import { readFileSync } from 'node:fs'
import { createTransport } from 'nodemailer'
import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'

export type Message = {
  readonly to: string
  readonly subject: string
  readonly text: string
  /** The same as HTML. */
  readonly html: string
  readonly language: string
  /** A link by which who gets it ends such messages: RFC 8058. */
  readonly unsubscribe?: string
}

/** Gives messages to the mail server of the configuration. */
export type Mailer = {
  /** @throws Error when it does not take the message. */
  send(message: Message): Promise<void>
  /** As `send`, without waiting; what becomes of it is only logged. Nobody sees from it how long that took. */
  post(message: Message): void
  /** Messages that were posted and are neither taken nor given up. */
  readonly waiting: number
  /** Resolves when everything that was posted is sent, or was not taken, or has had its time. */
  close(): Promise<void>
}

/** Milliseconds that what waits may keep the process from ending. */
const closingPatience = 10_000
/** Milliseconds that the mail server may take to answer. */
const patience = 20_000
const mostConnections = 4
/** Messages that wait. More than that are not sent: a mail server that is away must not fill the memory. */
const mostWaiting = 1000

/** @throws ConfigError when the certificate authority cannot be read. */
export function createMailer(config: Config, log: Logger): Mailer {
  const { host, port, tls, user, password, from, ca_file: caFile } = config.mail
  const transport = createTransport({
    pool: true,
    maxConnections: mostConnections,
    ...(host !== undefined && { host }),
    port,
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    tls: {
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...(caFile !== undefined && { ca: readAuthority(caFile) }),
    },
    ...(user !== undefined && { auth: { user, pass: password ?? '' } }),
    connectionTimeout: patience,
    greetingTimeout: patience,
    socketTimeout: patience,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const sender = from ?? `no-reply@${config.server_names[0]!.replace(/:\d+$/, '')}`
  const waiting = new Set<Promise<void>>()

  async function send({ to, subject, text, html, language, unsubscribe }: Message): Promise<void> {
    await transport.sendMail({
      from: sender,
      to: { name: '', address: to },
      subject,
      text,
      html,
      headers: {
        'Content-Language': language,
        'Auto-Submitted': 'auto-generated',
        'X-Auto-Response-Suppress': 'All',
        ...(unsubscribe !== undefined && {
          'List-Unsubscribe': `<${unsubscribe}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        }),
      },
    })
  }

  return {
    send,
    get waiting() {
      return waiting.size
    },
    post(message) {
      if (waiting.size >= mostWaiting) {
        log.warn('A mail is not sent: too many are waiting')
        return
      }
      const sending: Promise<void> = send(message)
        .catch((error: Error) => log.warn({ error: error.message }, 'A mail was not taken'))
        .finally(() => waiting.delete(sending))
      waiting.add(sending)
    },
    async close() {
      await Promise.race([Promise.all(waiting), pause(closingPatience)])
      transport.close()
    },
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref())
}

function readAuthority(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    throw new ConfigError([`mail.ca_file: ${file} cannot be read`])
  }
}
