import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { changeSigningKeyFile, keyFileOf } from '../src/domains.ts'
import { encodeBase64 } from '../src/matrix/base64.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signingKeyFromSeed, verifyJson } from '../src/matrix/signatures.ts'
import { type DomainKeys, withNewKey, withoutKey } from '../src/matrix/signing-key-file.ts'
import { Program } from '../src/testing/program.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { pair, sees, via } from './two-servers.fixtures.ts'

const next = signingKeyFromSeed('next', Buffer.alloc(32, 31))

/** As the command does, and then as SIGHUP does. */
function changeKeys({ ctx }: TestServer, change: (keys: DomainKeys) => DomainKeys): void {
  changeSigningKeyFile(keyFileOf(ctx.config, ctx.domains.default), change)
  ctx.domains.rereadKeys()
}

const published = async (server: TestServer): Promise<JsonObject> =>
  (await server.request('get', '/_matrix/key/v2/server')).body

test('O16: a domain gets another key, and what the former one signed still counts', async () => {
  await using scene = await pair()
  const { one, other, alice, bob } = scene
  const name = one.ctx.domains.default
  const former = one.ctx.domains.keyOf(name)
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const say = async (body: string): Promise<void> => {
    await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
    await sees(bob, room, body)
  }
  await say('by the former key')

  changeKeys(one, (keys) => withNewKey(keys, next))
  const both = await published(one)
  expect(Object.keys(both.verify_keys as JsonObject).sort()).toEqual([next.keyId, former.keyId].sort())
  for (const key of [next, former]) expect(verifyJson(both, name, key.keyId, key.publicKey)).toBe(true)
  await say('by the next key')
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'signed once' })
  const [event] = await one.ctx.events.byIds([eventId], { edges: true })
  expect(Object.keys(event!.event.pdu.signatures[name]!)).toEqual([next.keyId])

  const before = Date.now()
  changeKeys(one, (keys) => withoutKey(keys, former.keyId, Date.now()) as DomainKeys)
  const ended = await published(one)
  expect(Object.keys(ended.verify_keys as JsonObject)).toEqual([next.keyId])
  const old = (ended.old_verify_keys as { [keyId: string]: JsonObject })[former.keyId]!
  expect(old).toEqual({ key: encodeBase64(former.publicKey), expired_ts: expect.any(Number) })
  expect(old.expired_ts).toBeGreaterThanOrEqual(before)
  await say('when the former key is gone')

  // Who has never seen the former key takes what it signed.
  await using third = await startFederatedServer()
  const carol = await third.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}?via=${via(other)}`)
  const page = await carol.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 50 })
  const bodies = page.chunk.map(({ content }: { content: JsonObject }) => content.body)
  expect(bodies).toEqual(
    expect.arrayContaining(['by the former key', 'by the next key', 'when the former key is gone']),
  )
  // And so does the domain itself, of its own users.
  const keys = one.ctx.domains.retiredKeysOf(name)
  expect(keys.map(({ keyId }) => keyId)).toEqual([former.keyId])
})

test('O16: rotate-key and revoke-key while the program runs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-keys-'))
  const env = { CHAPPE_SERVER_NAMES: 'a.test', CHAPPE_DATA_DIR: folder, CHAPPE_PORT: '0' }
  const program = new Program(['start'], env)
  try {
    const url = await program.url()
    const keys = async (kind: string): Promise<string[]> =>
      Object.keys(((await (await fetch(`${url}/_matrix/key/v2/server`)).json()) as JsonObject)[kind] as JsonObject)
    const [former] = await keys('verify_keys')
    const run = async (...args: string[]) => new Program(args, env).finished
    expect(await run('rotate-key', 'b.test')).toMatchObject({ code: 2, stderr: expect.stringContaining('b.test') })
    expect(await run('revoke-key', 'a.test', former!)).toMatchObject({ code: 2 })
    const rotated = await run('rotate-key', 'a.test')
    expect(rotated).toMatchObject({ code: 0, stderr: '' })
    expect(rotated.stdout).toContain(`revoke-key a.test ${former}`)
    program.child.kill('SIGHUP')
    await expect.poll(() => keys('verify_keys'), { timeout: 10_000 }).toHaveLength(2)
    expect(await run('revoke-key', 'a.test', former!)).toMatchObject({ code: 0, stderr: '' })
    program.child.kill('SIGHUP')
    await expect.poll(() => keys('old_verify_keys'), { timeout: 10_000 }).toEqual([former])
    expect(await keys('verify_keys')).toHaveLength(1)
  } finally {
    await program.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)

test('F07: a pinned key is neither fetched nor replaced', async () => {
  await using hostile = await startHostileServer()
  const pinned = {
    pinned_keys: [
      { server_name: hostile.name, verify_keys: { [hostile.key.keyId]: encodeBase64(hostile.key.publicKey) } },
    ],
  }
  const asksKeys = () => hostile.asked.filter(({ path }) => path.startsWith('/_matrix/key/')).length
  const uri = '/_matrix/federation/v1/publicRooms'
  {
    await using home = await startFederatedServer(pinned)
    expect((await hostile.request(home, 'GET', uri)).status).toBe(200)
    const former = hostile.key
    hostile.key = signingKeyFromSeed('other', Buffer.alloc(32, 32))
    expect((await hostile.request(home, 'GET', uri)).status).toBe(401)
    hostile.key = { ...hostile.key, keyId: former.keyId }
    expect((await hostile.request(home, 'GET', uri)).status).toBe(401)
    // Nor does it vouch for what it did not hear from the server.
    const told = await home.request('get', `/_matrix/key/v2/query/${encodeURIComponent(hostile.name)}`)
    expect(told.body).toEqual({ server_keys: [] })
    hostile.key = former
    expect((await hostile.request(home, 'GET', uri)).status).toBe(200)
  }
  await using home = await startFederatedServer({
    pinned_keys: [
      {
        server_name: hostile.name,
        verify_keys: { 'ed25519:new': encodeBase64(next.publicKey) },
        old_verify_keys: { [hostile.key.keyId]: { key: encodeBase64(hostile.key.publicKey), expired_ts: Date.now() } },
      },
    ],
  })
  expect((await hostile.request(home, 'GET', uri)).status).toBe(401)
  expect(asksKeys()).toBe(0)
})

test('F07: a server is asked for its keys itself first, and a notary when it does not answer', async () => {
  await using hostile = await startHostileServer()
  await using notary = await startHostileServer()
  await using home = await startFederatedServer({ notaries: [notary.name] })
  const order: string[] = []
  const note = (who: string, fails: boolean) => (asked: { path: string }) => {
    if (!asked.path.startsWith('/_matrix/key/v2/')) return undefined
    order.push(who)
    return fails ? { status: 500, body: {} } : undefined
  }
  hostile.answer = note('itself', false)
  notary.answer = note('notary', false)
  const uri = '/_matrix/federation/v1/publicRooms'
  expect((await hostile.request(home, 'GET', uri)).status).toBe(200)
  expect(order).toEqual(['itself'])
  hostile.answer = note('itself', true)
  hostile.key = next
  expect((await hostile.request(home, 'GET', uri)).status).toBe(401)
  expect(order).toEqual(['itself', 'itself', 'notary'])
})
