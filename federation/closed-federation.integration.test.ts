import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mediaRequest } from '../src/testing/media-requests.ts'
import { Program } from '../src/testing/program.ts'
import { joinHostile } from './attacked-room.fixtures.ts'
import { reloadFederation, startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const v1 = '/_matrix/federation/v1'

/** Our server, and one that it had to do with until it was denied. */
async function denied(dryRun = false) {
  const home = await startFederatedServer()
  const hostile = await startHostileServer()
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  const room = await joinHostile(hostile, home, roomId)
  reloadFederation(home, { deny: [hostile.name], dry_run: dryRun })
  hostile.asked.length = 0
  return {
    home,
    hostile,
    alice,
    roomId,
    room,
    /** How often a rule has barred somebody at an edge. */
    async barred(edge: string, outcome = 'refused'): Promise<number> {
      const text = await home.ctx.metrics.scrape()
      const line = new RegExp(
        `^chappe_federation_barred_total\\{rule="deny",edge="${edge}",outcome="${outcome}"\\} (\\d+)$`,
        'm',
      )
      return Number(line.exec(text)?.[1] ?? 0)
    },
    async [Symbol.asyncDispose]() {
      await home[Symbol.asyncDispose]()
      await hostile[Symbol.asyncDispose]()
    },
  }
}

test('requests of a server that is not federated with', async () => {
  await using closed = await denied()
  for (const uri of [`${v1}/publicRooms`, `${v1}/query/profile?user_id=${enc(closed.alice.userId)}`]) {
    const { status, body } = await closed.hostile.request(closed.home, 'GET', uri)
    expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN'])
  }
  expect(await closed.barred('request')).toBe(2)
})

test('invites, profiles, aliases, directories, summaries and keys of its users and rooms', async () => {
  await using closed = await denied()
  const { alice, hostile, home } = closed
  const userId = `@x:${hostile.name}`
  const other = await alice.createRoom()
  const attempts: [method: string, path: string, body?: object][] = [
    ['post', `/rooms/${enc(other)}/invite`, { user_id: userId }],
    ['get', `/profile/${enc(userId)}`],
    ['get', `/directory/room/${enc(`#a:${hostile.name}`)}`],
    ['post', `/join/${enc(`#a:${hostile.name}`)}`, {}],
    ['post', `/join/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`, {}],
    ['post', `/knock/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`, {}],
    ['get', `/publicRooms?server=${enc(hostile.name)}`],
    ['get', `/_matrix/client/v1/room_summary/${enc(`!r:${hostile.name}`)}?via=${enc(hostile.name)}`],
  ]
  for (const [method, path, body] of attempts) {
    const { status } = await alice.attempt(method, path, body && { body })
    expect([path, status]).toEqual([path, expect.toSatisfy((code: number) => code === 403 || code === 404)])
  }
  const keys = await alice.post('/keys/query', { device_keys: { [userId]: [] } })
  expect([keys.device_keys, Object.keys(keys.failures)]).toEqual([{}, [hostile.name]])
  const notary = await home.request('get', `/_matrix/key/v2/query/${enc(hostile.name)}`)
  expect(notary.body).toEqual({ server_keys: [] })
  expect(hostile.asked).toEqual([])
  expect(await closed.barred('outbound')).toBeGreaterThan(0)
  expect(await closed.barred('join')).toBeGreaterThan(0)
  expect(await closed.barred('keys')).toBe(1)
})

test('its media', async () => {
  await using closed = await denied()
  const path = `/_matrix/client/v1/media/download/${closed.hostile.name}/one`
  expect((await mediaRequest(closed.alice, 'GET', path)).status).toBe(404)
  expect(closed.hostile.asked).toEqual([])
  expect(await closed.barred('media')).toBeGreaterThan(0)
})

test('events of its users that an allowed server passes on', async () => {
  await using closed = await denied()
  await using allowed = await startHostileServer()
  const { home, room, roomId, alice } = closed
  await joinHostile(allowed, home, roomId, 'relay')
  const event = room.build()
  const answer = await allowed.send(home, [event.pdu])
  expect(answer[event.eventId]).toEqual({ error: expect.stringContaining('not federated with') })
  const { chunk } = await alice.get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 50 })
  expect(chunk.map(({ event_id: id }: { event_id: string }) => id)).not.toContain(event.eventId)
  expect(await closed.barred('event')).toBe(1)
})

test('what is sent goes to the others of the room alone', async () => {
  await using closed = await denied()
  await using allowed = await startHostileServer()
  const { alice, hostile, home, roomId } = closed
  await joinHostile(allowed, home, roomId, 'other')
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'confidential' })
  await expect.poll(() => allowed.heard.some(({ content }) => content.body === 'confidential')).toBe(true)
  expect(hostile.asked).toEqual([])
  expect(await closed.barred('sending')).toBeGreaterThan(0)
})

test('a dry run refuses nobody, and counts whom it would', async () => {
  await using closed = await denied(true)
  const { hostile, home, room, alice, roomId } = closed
  expect((await hostile.request(home, 'GET', `${v1}/publicRooms`)).status).toBe(200)
  await room.push(home, room.build({ content: { msgtype: 'm.text', body: 'let through' } }))
  await sees(alice, roomId, 'let through')
  await alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'answer' })
  await expect.poll(() => hostile.heard.some(({ content }) => content.body === 'answer')).toBe(true)
  for (const edge of ['request', 'event', 'outbound', 'sending']) {
    expect(await closed.barred(edge, 'let_through'), edge).toBeGreaterThan(0)
    expect(await closed.barred(edge), edge).toBe(0)
  }
})

test('the lists are read again on SIGHUP, and what cannot be read changes nothing', async () => {
  await using hostile = await startHostileServer()
  const folder = mkdtempSync(join(tmpdir(), 'chappe-closed-'))
  const file = join(folder, 'config.yaml')
  const write = (deny: string): void =>
    writeFileSync(
      file,
      `server_names: [a.test]
data_dir: ${folder}
port: 0
federation: { allow: ['*'], deny: ${deny}, allow_addresses: [127.0.0.0/8], insecure_http: true }
`,
    )
  write(`['${hostile.name}']`)
  const program = new Program(['start', '--config', file], {})
  try {
    const url = await program.url()
    const uri = `${v1}/publicRooms`
    const status = async (): Promise<number> =>
      (await fetch(url + uri, { headers: { authorization: hostile.authorization('a.test', 'GET', uri) } })).status
    expect(await status()).toBe(403)
    write('[]')
    program.child.kill('SIGHUP')
    await expect.poll(status, { timeout: 10_000 }).toBe(200)
    write('no list')
    program.child.kill('SIGHUP')
    await expect.poll(() => program.stdout.includes('cannot be read again'), { timeout: 10_000 }).toBe(true)
    expect(await status()).toBe(200)
    write("['*']")
    program.child.kill('SIGHUP')
    await expect.poll(status, { timeout: 10_000 }).toBe(403)
  } finally {
    await program.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)
