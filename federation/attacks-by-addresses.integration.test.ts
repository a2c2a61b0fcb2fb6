import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Agent } from 'undici'
import { expect, test } from 'vitest'
import { MAX_WELL_KNOWN_BYTES } from '../src/matrix/limits.ts'
import { createAddressPolicy } from '../src/net/addresses.ts'
import { checkedLookup } from '../src/net/checked-lookup.ts'
import { startCanary } from '../src/testing/canary.ts'
import { createCertificate } from '../src/testing/mail-server.ts'
import { mediaRequest } from '../src/testing/media-requests.ts'
import { createAllowList } from './allow-list.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { createRemoteClient, type Names } from './remote/client.ts'
import { fetchWellKnown } from './remote/well-known.ts'

const enc = encodeURIComponent

test('F49: server names that lead inside our network', async () => {
  await using canary = await startCanary('0.0.0.0')
  await using home = await startFederatedServer({ allow_addresses: [] })
  const alice = await home.register('alice')
  const hosts = [
    ...[
      '127.0.0.1',
      '127.0.0.2',
      '0.0.0.0',
      'localhost',
      '10.0.0.1',
      '169.254.169.254',
      '127.1',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '127.0.0.1.',
    ],
    ...['[::1]', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '[2002:7f00:1::]', '[64:ff9b::7f00:1]', '[::]'],
  ]
  for (const host of hosts) {
    const server = `${host}:${canary.port}`
    const profile = await alice.attempt('get', `/profile/${enc(`@x:${server}`)}`)
    expect([server, profile.status]).toEqual([server, expect.toSatisfy((code: number) => code >= 400 && code < 503)])
    const joined = await alice.attempt('post', `/join/${enc('!r:x.test')}?via=${enc(server)}`, { body: {} })
    expect([server, joined.status]).toEqual([server, expect.toSatisfy((code: number) => code >= 400 && code < 503)])
    const media = await mediaRequest(alice, 'GET', `/_matrix/client/v1/media/download/${server}/one`)
    expect([server, media.status]).toEqual([server, expect.toSatisfy((code: number) => code >= 400 && code < 503)])
  }
  expect(canary.visits()).toBe(0)
})

/** A client whose names mean what a test says. */
function clientWith(names: Names, allowed: readonly string[]) {
  const federation = { allow: ['*'], deny: [], dry_run: false, allow_addresses: [...allowed], insecure_http: true }
  return (server: Awaited<ReturnType<typeof startFederatedServer>>) => {
    const config = { ...server.ctx.config, federation: { ...server.ctx.config.federation, ...federation } }
    const ctx = { ...server.ctx, config }
    const silent = { add() {}, heardOf() {} }
    return createRemoteClient(
      ctx,
      createAllowList(ctx, { barred: () => {} }, federation),
      { asked: () => {} },
      silent,
      names,
    )
  }
}

const uri = '/_matrix/key/v2/server'

test('F49: a name that means another address the next time it is asked for', async () => {
  await using hostile = await startHostileServer()
  const port = Number(hostile.name.split(':')[1])
  await using canary = await startCanary('127.0.0.2', port)
  // It has no such client of its own.
  await using home = await startFederatedServer({ allow: [] })
  let lookups = 0
  const names: Names = {
    resolveSrv: async () => [],
    lookup(_name, _options, callback) {
      lookups++
      callback(null, [{ address: lookups === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }])
    },
  }
  const client = clientWith(names, ['127.0.0.1/32'])(home)
  hostile.answer = () => ({ body: {}, headers: { connection: 'close' } })
  expect(await client.send(`rebind.test:${port}`, { method: 'GET', uri })).toEqual({})
  // One connection, one look-up: what was checked is what was connected to.
  expect([lookups, hostile.asked.length]).toEqual([1, 1])
  for (let time = 0; time < 3; time++) {
    await expect(client.send(`rebind.test:${port}`, { method: 'GET', uri })).rejects.toThrow('cannot be reached')
  }
  expect([lookups, hostile.asked.length, canary.visits()]).toEqual([4, 1, 0])
  await client.close()
})

test('F49: service records and names with several addresses that lead inside our network', async () => {
  await using canary = await startCanary('127.0.0.2')
  // It has no such client of its own.
  await using home = await startFederatedServer({ allow: [] })
  const srv = (name: string) => [{ name, port: canary.port, priority: 0, weight: 0 }]
  const targets: { [name: string]: string } = {
    'literal.test': '127.0.0.2',
    'short.test': '127.2',
    'number.test': '2130706434',
    'mapped.test': '::ffff:127.0.0.2',
    'named.test': 'inside.test',
    'itself.test': 'localhost',
  }
  const names: Names = {
    resolveSrv: async (name) => srv(targets[name.replace(/^_matrix(-fed)?\._tcp\./, '')]!),
    lookup: (name, _options, callback) =>
      name.endsWith('.test') && name !== 'inside.test'
        ? callback(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }), [])
        : callback(null, [
            { address: '127.0.0.2', family: 4 },
            { address: '::1', family: 6 },
          ]),
  }
  const client = clientWith(names, [])(home)
  for (const name of Object.keys(targets)) {
    await expect(client.send(name as `${string}.test`, { method: 'GET', uri }), name).rejects.toThrow('reached')
  }
  expect(canary.visits()).toBe(0)
  await client.close()
})

/** What is at `/.well-known/matrix/server` of a server that a test makes up, and how many requests that took. */
async function wellKnown(answer: (request: IncomingMessage, response: ServerResponse) => void, options: ServerOptions) {
  let requests = 0
  const server = createServer(options, (request, response) => {
    requests++
    response.on('error', () => {})
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const policy = createAddressPolicy(['127.0.0.1/32'])
  const agent = new Agent({
    connect: { lookup: checkedLookup(policy), ca: options.cert as Buffer, checkServerIdentity: () => undefined },
  })
  try {
    const found = await fetchWellKnown(agent, policy, `127.0.0.1:${(server.address() as AddressInfo).port}`)
    return { found, requests }
  } finally {
    await agent.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

test('F47: well-known files that are large, endless, packed, or somewhere else', async () => {
  using own = createCertificate('localhost')
  await using canary = await startCanary('127.0.0.2')
  const text = JSON.stringify({ 'm.server': 'a.test:1' })
  const good = await wellKnown((_request, response) => response.end(text), own)
  expect(good).toEqual({ found: { body: { 'm.server': 'a.test:1' }, cacheControl: undefined }, requests: 1 })

  let sent = 0
  const endless = (response: ServerResponse): void => {
    const chunk = Buffer.alloc(16_384, 0x20)
    const more = (): void => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length
      response.once('drain', more)
    }
    more()
  }
  const attacks: { [name: string]: (request: IncomingMessage, response: ServerResponse) => void } = {
    'ten megabytes': (_request, response) => response.end(Buffer.alloc(10_000_000, 0x20)),
    endless: (_request, response) => endless(response),
    packed: (_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10_000_000, 0x20))),
    'no JSON': (_request, response) => response.end('<html>'),
    'too deep': (_request, response) => response.end('['.repeat(20_000) + ']'.repeat(20_000)),
    'not found': (_request, response) => response.writeHead(404).end(text),
  }
  for (const [name, answer] of Object.entries(attacks)) {
    expect((await wellKnown(answer, own)).found, name).toBeUndefined()
  }
  // What is not taken stays in the buffers of the connection.
  expect(sent).toBeLessThan(MAX_WELL_KNOWN_BYTES + 8 * 1024 * 1024)

  const round = await wellKnown(
    (request, response) => response.writeHead(302, { location: `${request.url}x` }).end(),
    own,
  )
  expect(round).toEqual({ found: undefined, requests: 6 })
  for (const location of [
    `http://127.0.0.2:${canary.port}/`,
    `https://127.0.0.2:${canary.port}/`,
    `https://2130706434:${canary.port}/`,
    `https://[::ffff:127.0.0.2]:${canary.port}/`,
    `https://localhost:${canary.port}/`,
    'file:///etc/passwd',
    'https://',
  ]) {
    const { found } = await wellKnown((_request, response) => response.writeHead(302, { location }).end(), own)
    expect(found, location).toBeUndefined()
  }
  expect(canary.visits()).toBe(0)
})
