import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import type { ServerName } from '../src/matrix/ids.ts'
import { mediaRequest } from '../src/testing/media-requests.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'

const enc = encodeURIComponent
const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'

/** What comes in place of an answer, on every connection. */
const attacks: { [name: string]: (socket: Socket) => void } = {
  'closed at once': (socket) => socket.end(),
  'reset at once': (socket) => socket.resetAndDestroy(),
  'no HTTP': (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n'),
  'another version': (socket) => socket.end('HTTP/9.9 200 OK\r\n\r\n'),
  'a head without end': (socket) => socket.end(`${head}X-Long: ${'x'.repeat(100_000)}`),
  'many fields': (socket) =>
    socket.end(`${head}${Array.from({ length: 20_000 }, (_, index) => `X-${index}: y\r\n`).join('')}\r\n{}`),
  'less than told': (socket) => socket.end(`${head}Content-Length: 1000\r\n\r\n{"a":1}`),
  'reset in the middle': (socket) => {
    socket.write(`${head}Content-Length: 1000\r\n\r\n{"a":`)
    setImmediate(() => socket.resetAndDestroy())
  },
  'more than told': (socket) => socket.end(`${head}Content-Length: 2\r\n\r\n{}{}{}{}`),
  'chunks that are none': (socket) => socket.end(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`),
  'two lengths': (socket) => socket.end(`${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`),
  'both framings': (socket) =>
    socket.end(`${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`),
  'another protocol': (socket) =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n{}'),
  'something to come': (socket) => socket.end(`${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1_000)}${head}\r\n`),
  'no content': (socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'),
  'somewhere else': (socket) =>
    socket.end('HTTP/1.1 302 Found\r\nLocation: http://[::1]:1/\r\nContent-Length: 9\r\n\r\n{'),
  'no text': (socket) => socket.end(`${head}\r\n${'\u00ff\u0000'.repeat(100)}`),
  'parts without end': (socket) =>
    socket.end('HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{}\r\n--b\r\n\r\nx'),
}

test('answers that are none of HTTP’s fail, and nothing else does', async () => {
  let attack = attacks['no HTTP']!
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => attack(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const name: ServerName = `127.0.0.1:${port}`
  await using home = await startFederatedServer(
    {},
    {
      config: {
        url_previews: { enabled: true, allow_addresses: ['127.0.0.0/8'], ports: [port] },
        push: { allow_addresses: ['127.0.0.0/8'], allow_insecure_http: true },
        mail: { identity_servers: [`http://${name}`] },
      },
    },
  )
  const [alice, bob] = [await home.register('alice'), await home.register('bob')]
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await bob.join(room)
  for (const [how, next] of Object.entries(attacks)) {
    attack = next
    await bob.post('/pushers/set', {
      kind: 'http',
      app_id: 'org.example.app',
      pushkey: how,
      app_display_name: 'App',
      device_display_name: 'Phone',
      lang: 'en',
      data: { url: `http://${name}/_matrix/push/v1/notify` },
    })
    await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: how })
    const id = { sid: 'sid', client_secret: 'secret', id_server: name, id_access_token: 'token' }
    const answers = await Promise.all([
      alice.attempt('get', `/profile/${enc(`@x:${name}`)}`),
      alice.attempt('post', `/join/${enc(`!r:${name}`)}?via=${enc(name)}`, { body: {} }),
      alice.attempt('get', `/publicRooms?server=${enc(name)}`),
      alice.attempt('post', '/keys/query', { body: { device_keys: { [`@${how}:${name}`]: [] } } }),
      alice.attempt('post', '/account/3pid/bind', { body: id }),
      home.request('get', `/_matrix/key/v2/query/${enc(name)}`),
      mediaRequest(alice, 'GET', `/_matrix/client/v1/media/download/${name}/${enc(how)}`),
      mediaRequest(alice, 'GET', `/_matrix/client/v1/media/preview_url?url=${enc(`http://${name}/${enc(how)}`)}`),
    ])
    for (const { status } of answers) expect([200, 400, 403, 404, 502, 504], how).toContain(status)
  }
  expect((await home.request('GET', '/_matrix/client/versions')).status).toBe(200)
  await new Promise((resolve) => server.close(resolve))
})
