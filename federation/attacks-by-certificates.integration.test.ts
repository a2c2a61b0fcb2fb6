import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startFederatedServer } from './federated-server.fixtures.ts'

/** A certificate that has signed itself. */
function certify(folder: string, name: string, alternative: string) {
  const [keyFile, file] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${alternative}`]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', [...made, ...subject, '-keyout', keyFile, '-out', file], { stdio: 'ignore' })
  return { file, key: readFileSync(keyFile), cert: readFileSync(file) }
}

test('O10: servers that prove nothing, or another name, are told nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-certificates-'))
  const trusted = certify(folder, 'trusted', 'IP:127.0.0.1')
  const stranger = certify(folder, 'stranger', 'IP:127.0.0.1')
  const otherName = certify(folder, 'other', 'DNS:other.test')
  try {
    for (const [shown, authority, isAsked] of [
      [trusted, trusted, true],
      [stranger, trusted, false],
      [stranger, undefined, false],
      [otherName, otherName, false],
    ] as const) {
      const asked: string[] = []
      const peer = createServer({ key: shown.key, cert: shown.cert }, (request, response) => {
        asked.push(request.url!)
        response.end('{"displayname":"X"}')
      })
      await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve))
      const server = `127.0.0.1:${(peer.address() as AddressInfo).port}`
      const trust = authority && { ca_file: authority.file }
      await using home = await startFederatedServer({ insecure_http: false, ...trust })
      const alice = await home.register('alice')
      const { status } = await alice.attempt('get', `/profile/${encodeURIComponent(`@x:${server}`)}`)
      expect([status === 200, asked.length > 0]).toEqual([isAsked, isAsked])
      peer.closeAllConnections()
      await new Promise((resolve) => peer.close(resolve))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** A server by TLS that nobody can trust, and what became of those who came. */
async function startUntrusted() {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-certificates-'))
  const { key, cert } = certify(folder, 'localhost', 'DNS:localhost')
  const asked: string[] = []
  let wentAway = (): void => {}
  const gone = new Promise<void>((resolve) => {
    wentAway = resolve
  })
  const server = createServer({ key, cert }, (request, response) => {
    asked.push(request.url!)
    response.end('{}')
  })
  server.on('tlsClientError', () => wentAway())
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    asked,
    gone,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

test('O10: push gateways and identity servers that prove nothing are told nothing', async () => {
  await using gateway = await startUntrusted()
  await using identity = await startUntrusted()
  await using home = await startFederatedServer(
    {},
    {
      config: {
        push: { allow_addresses: ['127.0.0.0/8', '::1/128'] },
        mail: { identity_servers: [identity.url] },
      },
    },
  )
  const [alice, bob] = [await home.register('alice'), await home.register('bob')]
  await bob.post('/pushers/set', {
    kind: 'http',
    app_id: 'org.example.app',
    pushkey: 'key',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'en',
    data: { url: `${gateway.url}/_matrix/push/v1/notify` },
  })
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await bob.join(room)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'x' })
  await gateway.gone
  const binding = await bob.attempt('post', '/account/3pid/bind', {
    body: { sid: 'sid', client_secret: 'secret', id_server: new URL(identity.url).host, id_access_token: 'token' },
  })
  expect(binding.status).toBe(502)
  await identity.gone
  expect([gateway.asked, identity.asked]).toEqual([[], []])
})
