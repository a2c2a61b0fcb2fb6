import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export type ReceivedMail = {
  readonly to: string
  readonly from: string
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly headers: ReadonlyMap<string, string>
  readonly isSecure: boolean
}

/** A mail server that keeps what it is given. */
export class MailServer {
  readonly #server: SMTPServer
  readonly received: ReceivedMail[] = []
  /** Refuses the next messages while set. */
  refuses = false
  #taken = 0
  #waiting: (() => void)[] = []

  constructor(options: SMTPServerOptions) {
    this.#server = new SMTPServer({
      authOptional: true,
      ...options,
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          if (this.refuses) return callback(Object.assign(new Error('not now'), { responseCode: 451 }))
          const { mailFrom, rcptTo } = session.envelope
          const envelope = { to: rcptTo[0]!.address, from: mailFrom === false ? '' : mailFrom.address }
          this.received.push({ ...envelope, ...parse(Buffer.concat(chunks).toString()), isSecure: session.secure })
          const waiting = this.#waiting
          this.#waiting = []
          for (const wake of waiting) wake()
          callback()
        })
      },
    })
    this.#server.on('error', () => {})
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  /** The next message that the test has not taken yet. */
  async next(): Promise<ReceivedMail> {
    while (this.received.length <= this.#taken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.received[this.#taken++]!
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve))
  }
}

/** Without TLS unless it is given a certificate. */
export async function startMailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const withoutTls = options.key === undefined ? { disabledCommands: ['STARTTLS'] } : {}
  const server = new MailServer({ ...withoutTls, ...options })
  await server.listen()
  return server
}

/** A certificate that nobody has heard of, for a host. `file` is where it is. */
export function createCertificate(host: string): { key: Buffer; cert: Buffer; file: string; [Symbol.dispose](): void } {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-certificate-'))
  const [key, file] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', ...subject, '-keyout', key, '-out', file],
    { stdio: 'ignore' },
  )
  return {
    key: readFileSync(key),
    cert: readFileSync(file),
    file,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function parse(raw: string): Pick<ReceivedMail, 'subject' | 'text' | 'html' | 'headers'> {
  const { headers, body } = split(raw)
  const boundary = /boundary="([^"]+)"/.exec(headers.get('content-type') ?? '')?.[1]
  const parts =
    boundary === undefined
      ? []
      : body
          .split(`--${boundary}`)
          .slice(1, -1)
          .map((part) => split(part.trimStart()))
  const textOf = (type: string): string => {
    const part = parts.find((each) => each.headers.get('content-type')?.startsWith(type))
    if (!part) throw new Error(`the mail has no part of type ${type}`)
    // What comes before a boundary is a line end of the boundary's.
    const content = part.body.replace(/\r\n$/, '')
    return decodeBody(content, part.headers.get('content-transfer-encoding') ?? '7bit').replaceAll('\r\n', '\n')
  }
  const subject = decodeWords(headers.get('subject') ?? '')
  return { subject, text: textOf('text/plain'), html: textOf('text/html'), headers }
}

function split(raw: string): { headers: ReadonlyMap<string, string>; body: string } {
  const end = raw.indexOf('\r\n\r\n')
  const lines = raw
    .slice(0, end)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    }),
  )
  return { headers, body: raw.slice(end + 4) }
}

function decodeBody(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString()
  return encoding === 'quoted-printable' ? decodeQuoted(body.replaceAll(/=\r\n/g, '')) : body
}

function decodeQuoted(text: string): string {
  const latin = text.replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(latin, 'latin1').toString()
}

function decodeWords(text: string): string {
  return text
    .replaceAll(/\?=\s+=\?/g, '?==?')
    .replaceAll(/=\?UTF-8\?([QB])\?([^?]*)\?=/gi, (_, encoding: string, word: string) =>
      encoding.toUpperCase() === 'B' ? Buffer.from(word, 'base64').toString() : decodeQuoted(word.replaceAll('_', ' ')),
    )
}
