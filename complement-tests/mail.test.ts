import type { AddressInfo } from 'node:net'
import { createClient, InteractiveAuth, type MatrixClient } from 'matrix-js-sdk'
import { SMTPServer } from 'smtp-server'
import { expect, test } from 'vitest'
import { startDeployment } from './deployment.ts'
import { silent } from './sdk-device.ts'

test('a client registers with a mail address, forgets the password and logs in by the address', {
  timeout: 120_000,
}, async () => {
  await using mails = await startMails()
  await using deployment = await startDeployment({
    CHAPPE_MAIL_HOST: '127.0.0.1',
    CHAPPE_MAIL_PORT: String(mails.port),
    CHAPPE_MAIL_TLS: 'none',
  })
  const client = createClient({ baseUrl: deployment.url, logger: silent })
  const confirm = async () => {
    const link = new URL(/https?:\S+/.exec(await mails.next())![0])
    const body = new URLSearchParams({ token: link.searchParams.get('token')! })
    const response = await fetch(link, { method: 'post', body })
    expect(response.status).toBe(200)
  }
  const email = 'anna@ministry.example'
  const session = await register(client, email, confirm)
  expect(session.user_id).toMatch(/^@anna:/)

  const { sid } = await client.requestPasswordEmailToken(email, 'another secret'.replaceAll(' ', '-'), 1)
  await confirm()
  const creds = { sid, client_secret: 'another-secret' }
  await client.setPassword({ type: 'm.login.email.identity', threepid_creds: creds }, 'the new password of anna', true)
  const logIn = (password: string) =>
    client.loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.thirdparty', medium: 'email', address: email },
      password,
    })
  await expect(logIn('password of anna, long enough')).rejects.toThrow()
  expect((await logIn('the new password of anna')).user_id).toBe(session.user_id)
})

/** As apps do it: the library chooses the flow by what the user has typed in. */
async function register(client: MatrixClient, email: string, confirm: () => Promise<void>) {
  const auth = new InteractiveAuth<{ user_id: string }>({
    matrixClient: client,
    inputs: { emailAddress: email },
    doRequest: (given) =>
      client.registerRequest({
        username: 'anna',
        password: 'password of anna, long enough',
        ...(given && { auth: given }),
      }) as Promise<{ user_id: string }>,
    requestEmailToken: (address, secret, attempt) => client.requestRegisterEmailToken(address, secret, attempt),
    stateUpdated(stage) {
      if (stage === 'm.login.email.identity') void confirm().then(() => auth.poll())
    },
  })
  return auth.attemptAuth()
}

async function startMails() {
  const received: string[] = []
  let wake = (): void => {}
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, _session, callback) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        // Soft line breaks of quoted-printable, and its equals signs.
        received.push(String(Buffer.concat(chunks)).replaceAll('=\r\n', '').replaceAll('=3D', '='))
        wake()
        callback()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.server.address() as AddressInfo).port,
    async next(): Promise<string> {
      while (received.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return received.shift()!
    },
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(resolve)),
  }
}
