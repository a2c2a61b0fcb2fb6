import { type Answer, startTestServer, type TestServer, type TestServerOptions } from './index.ts'
import { type MailServer, type ReceivedMail, startMailServer } from './mail-server.ts'

export const secret = 'a.client-secret_0='

/** A server that sends mail, and where it sends it. */
export async function startMailing(
  mail: object = {},
  options: TestServerOptions = {},
): Promise<{ server: TestServer; mails: MailServer; [Symbol.asyncDispose](): Promise<void> }> {
  const mails = await startMailServer()
  const section = { host: '127.0.0.1', port: mails.port, tls: 'none', ...mail }
  const server = await startTestServer({ ...options, config: { ...options.config, mail: section } })
  return {
    server,
    mails,
    async [Symbol.asyncDispose]() {
      await server.close()
      await mails[Symbol.asyncDispose]()
    },
  }
}

export function requestToken(
  server: TestServer,
  of: 'register' | 'account/password' | 'account/3pid',
  email: string,
  more: { [key: string]: unknown } = {},
  headers: { readonly [name: string]: string } = {},
) {
  const body = { client_secret: secret, email, send_attempt: 1, ...more }
  return server.request('post', `/_matrix/client/v3/${of}/email/requestToken`, { body, headers })
}

/** What a mail leads to, on the server under test. */
export function linkIn(server: TestServer, mail: ReceivedMail): string {
  const link = /https:\/\/\S+/.exec(mail.text)![0]
  return server.url + new URL(link).pathname + new URL(link).search
}

/** Opens the link and presses the button. */
export async function follow(link: string): Promise<Response> {
  const token = new URL(link).searchParams.get('token')!
  return fetch(link, { method: 'post', body: new URLSearchParams({ token }), redirect: 'manual' })
}

/** A session whose address is proved. */
export async function proved(
  { server, mails }: { server: TestServer; mails: MailServer },
  of: Parameters<typeof requestToken>[1],
  email: string,
  more: { [key: string]: unknown } = {},
): Promise<{ sid: string; client_secret: string }> {
  const { body } = await requestToken(server, of, email, more)
  const response = await follow(linkIn(server, await mails.next()))
  if (response.status !== 200) throw new Error(`the link was answered ${response.status}`)
  return { sid: (body as Answer).sid, client_secret: (more.client_secret as string | undefined) ?? secret }
}
