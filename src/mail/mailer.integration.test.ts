import { pino } from 'pino'
import { expect, test } from 'vitest'
import { checkConfig } from '../config.ts'
import { createCertificate, type MailServer, startMailServer } from '../testing/mail-server.ts'
import { createMailer } from './mailer.ts'

const message = { to: 'a@b.example', subject: 'Ünïcode', text: 'Grüße', html: '<p>Grüße</p>', language: 'de' }

async function attempt(server: MailServer, mail: object): Promise<string> {
  const config = checkConfig({ server_names: ['a.test'], mail: { host: 'localhost', port: server.port, ...mail } })
  const mailer = createMailer(config, pino({ level: 'silent' }))
  try {
    await mailer.send(message)
    return 'sent'
  } catch (error) {
    return (error as Error).message
  } finally {
    await mailer.close()
  }
}

test('O10: mail goes by TLS to a server whose certificate is trusted, and to no other', async () => {
  using own = createCertificate('localhost')
  using other = createCertificate('other.example')
  await using server = await startMailServer({ key: own.key, cert: own.cert })
  expect(await attempt(server, {})).toMatch(/self-signed certificate/)
  expect(await attempt(server, { ca_file: other.file })).toMatch(/certificate/)
  expect(server.received).toEqual([])
  expect(await attempt(server, { ca_file: own.file, from: 'Büro <no-reply@a.test>' })).toBe('sent')
  expect(await server.next()).toMatchObject({
    isSecure: true,
    from: 'no-reply@a.test',
    subject: 'Ünïcode',
    text: expect.stringContaining('Grüße'),
    html: expect.stringContaining('<p>Grüße</p>'),
  })
  await using wrongName = await startMailServer({ key: other.key, cert: other.cert })
  expect(await attempt(wrongName, { ca_file: other.file })).toMatch(/does not match|altnames/i)
  await using implicit = await startMailServer({ key: own.key, cert: own.cert, secure: true })
  expect(await attempt(implicit, { tls: 'implicit' })).toMatch(/self-signed certificate/)
  expect(await attempt(implicit, { tls: 'implicit', ca_file: own.file })).toBe('sent')
})

test('nothing is sent in the clear unless the operator says so, nor a password', async () => {
  await using server = await startMailServer()
  expect(await attempt(server, {})).not.toBe('sent')
  expect(server.received).toEqual([])
  expect(await attempt(server, { tls: 'none' })).toBe('sent')
})

test('who has to log in to the mail server does', async () => {
  using own = createCertificate('localhost')
  await using server = await startMailServer({
    key: own.key,
    cert: own.cert,
    authOptional: false,
    onAuth(auth, _session, callback) {
      const isRight = auth.username === 'chappe' && auth.password === 'a word'
      callback(isRight ? null : new Error('no'), { user: auth.username ?? '' })
    },
  })
  const login = { ca_file: own.file, user: 'chappe', password: 'a word' }
  expect(await attempt(server, login)).toBe('sent')
  expect(await attempt(server, { ...login, password: 'wrong' })).not.toBe('sent')
})

test('an authority that cannot be read is said at the start', () => {
  const config = checkConfig({ server_names: ['a.test'], mail: { host: 'localhost', ca_file: '/nowhere/ca.pem' } })
  expect(() => createMailer(config, pino({ level: 'silent' }))).toThrow('mail.ca_file: /nowhere/ca.pem cannot be read')
})
