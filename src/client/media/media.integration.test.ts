import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseMxc } from '../../media/media-ids.ts'
import { removeMedia } from '../../media/remove-media.ts'
import { startTestServer, type TestServer } from '../../testing/index.ts'
import { download, mediaRequest, upload } from '../../testing/media-requests.ts'

function filesOf(server: TestServer): string[] {
  const folder = join(server.ctx.config.data_dir, 'media')
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

test('M01: what is uploaded is downloaded, with the headers that keep browsers from running it', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const media = await upload(alice, '<script>', { type: 'text/html', name: 'päge.html' })
  expect(media).toMatch(/^a\.test\/[\w-]{24}$/)
  for (const path of [
    `/_matrix/client/v1/media/download/${media}`,
    `/_matrix/media/v3/download/${media}`,
    `/_matrix/media/r0/download/${media}`,
  ]) {
    const response = await mediaRequest(bob, 'GET', path)
    expect(response).toMatchObject({ status: 200, bytes: Buffer.from('<script>') })
    const header = (name: string) => response.headers.get(name)
    expect(header('content-type')).toBe('text/html')
    expect(header('content-disposition')).toBe("attachment; filename*=UTF-8''p%C3%A4ge.html")
    expect(header('content-security-policy')).toMatch(/^sandbox; default-src 'none'; script-src 'none';/)
    expect(header('cross-origin-resource-policy')).toBe('cross-origin')
    expect(header('x-content-type-options')).toBe('nosniff')
    expect(header('referrer-policy')).toBe('no-referrer')
    expect(header('x-robots-tag')).toContain('noindex')
    expect(header('access-control-allow-origin')).toBe('*')
    expect(header('cache-control')).toContain('immutable')
    expect(header('content-length')).toBe('8')
  }
  const renamed = await mediaRequest(bob, 'GET', `/_matrix/client/v1/media/download/${media}/other%20name.txt`)
  expect(renamed.headers.get('content-disposition')).toBe('attachment; filename="other name.txt"')
  const untyped = await mediaRequest(alice, 'POST', '/_matrix/media/v3/upload', { body: Buffer.from('x') })
  const plain = await download(bob, untyped.json.content_uri.slice(6))
  expect(plain.headers.get('content-type')).toBe('application/octet-stream')
  expect(plain.headers.get('content-disposition')).toBe('attachment')
  const empty = await upload(alice, '')
  expect(await download(bob, empty)).toMatchObject({ status: 200, bytes: Buffer.alloc(0) })
})

test('only users may upload; only names that can be media are looked for', async () => {
  await using server = await startTestServer({ config: { media: { allow_legacy_unauthenticated: false } } })
  const alice = await server.register('alice')
  const nobody = { base: server.url }
  const media = await upload(alice, 'x')
  expect(await mediaRequest(nobody, 'POST', '/_matrix/media/v3/upload', { body: 'x' })).toMatchObject({ status: 401 })
  expect(await download(nobody, media)).toMatchObject({ status: 401 })
  expect(await mediaRequest(nobody, 'GET', `/_matrix/media/v3/download/${media}`)).toMatchObject({
    status: 404,
    json: { errcode: 'M_NOT_FOUND' },
  })
  expect((await download(alice, 'a.test/unknown')).status).toBe(404)
  expect((await download(alice, 'elsewhere.test/unknown')).status).toBe(404)
  for (const name of [
    'a.test/..%2F..%2Fkeys',
    'a.test/a%00',
    'a%2Fb/x',

    `a.test/${'x'.repeat(300)}`,
  ]) {
    expect((await download(alice, name)).status, name).toBe(400)
  }
  const form = { body: 'x', type: 'Multipart/Form-Data; boundary=x' }
  expect((await mediaRequest(alice, 'POST', '/_matrix/media/v3/upload', form)).status).toBe(415)
  for (const path of ['/_matrix/client/v1/media/config', '/_matrix/media/v3/config']) {
    expect((await mediaRequest(alice, 'GET', path)).json).toEqual({ 'm.upload.size': 52_428_800 })
    expect((await mediaRequest(nobody, 'GET', path)).status).toBe(401)
  }
})

test('parts, and what a client has already', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const media = await upload(alice, '0123456789')
  const whole = await download(alice, media)
  const etag = whole.headers.get('etag')!
  expect(await download(alice, media, { 'if-none-match': etag })).toMatchObject({ status: 304, bytes: Buffer.alloc(0) })
  const part = await download(alice, media, { range: 'bytes=2-4' })
  expect(part).toMatchObject({ status: 206, bytes: Buffer.from('234') })
  expect(part.headers.get('content-range')).toBe('bytes 2-4/10')
  const beyond = await download(alice, media, { range: 'bytes=10-' })
  expect(beyond.status).toBe(416)
  expect(beyond.headers.get('content-range')).toBe('bytes */10')
  const head = await mediaRequest(alice, 'HEAD', `/_matrix/client/v1/media/download/${media}`)
  expect(head).toMatchObject({ status: 200, bytes: Buffer.alloc(0) })
  expect(head.headers.get('content-length')).toBe('10')
})

test('equal contents are stored once, and go with the last media that have them', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const [first, second] = await Promise.all([upload(alice, 'same'), upload(alice, 'same')])
  expect(filesOf(server).map((file) => file.replaceAll('/', '').slice(-64))).toEqual([
    createHash('sha256').update('same').digest('hex'),
  ])
  expect(await removeMedia(server.ctx, parseMxc(`mxc://${first}`)!)).toBe(true)
  expect((await download(alice, second)).status).toBe(200)
  expect(await removeMedia(server.ctx, parseMxc(`mxc://${second}`)!)).toBe(true)
  expect(await removeMedia(server.ctx, parseMxc(`mxc://${second}`)!)).toBe(false)
  expect(filesOf(server)).toEqual([])
  expect((await download(alice, second)).status).toBe(404)
})

test('uploads and removals of one content at once leave what the database says', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  for (let round = 0; round < 10; round++) {
    const media = await upload(alice, 'contended')
    const [again] = await Promise.all([
      upload(alice, 'contended'),
      removeMedia(server.ctx, parseMxc(`mxc://${media}`)!),
    ])
    expect((await download(alice, again)).bytes.toString()).toBe('contended')
    await removeMedia(server.ctx, parseMxc(`mxc://${again}`)!)
    expect(filesOf(server)).toEqual([])
  }
})

test('media belong to the domain of who uploads them', async () => {
  await using server = await startTestServer({ serverNames: ['a.test', 'b.test'] })
  const [alice, bob] = [await server.register('alice'), await server.register('bob', { domain: 'b.test' })]
  const media = await upload(bob, 'x')
  expect(media).toMatch(/^b\.test\//)
  expect((await download(alice, media)).status).toBe(200)
  expect((await download(alice, media.replace('b.test', 'a.test'))).status).toBe(404)
})

test('M08: too much is refused, announced or not, and nothing of it stays', async () => {
  await using server = await startTestServer({ config: { media: { max_upload_size: 100_000 } } })
  const alice = await server.register('alice')
  const path = '/_matrix/media/v3/upload'
  expect(await upload(alice, Buffer.alloc(100_000))).toBeDefined()
  const announced = await mediaRequest(alice, 'POST', path, { body: Buffer.alloc(100_001) })
  expect(announced).toMatchObject({ status: 413, json: { errcode: 'M_TOO_LARGE' } })
  const chunks = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.alloc(60_000))
      controller.enqueue(Buffer.alloc(60_000))
      controller.close()
    },
  })
  const chunked = await mediaRequest(alice, 'POST', path, { body: chunks })
  expect(chunked).toMatchObject({ status: 413, json: { errcode: 'M_TOO_LARGE' } })
  expect(filesOf(server)).toHaveLength(1)
  const long = await mediaRequest(alice, 'POST', `${path}?filename=${'x'.repeat(1025)}`, { body: 'x' })
  expect(long.status).toBe(400)
})

test('media of another server are fetched once and kept', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  let fetches = 0
  server.ctx.media.useRemote({
    async fetch(serverName, mediaId) {
      fetches++
      if (mediaId === 'unknown') return undefined
      const content = (async function* () {
        yield Buffer.from(`${serverName} `)
        yield Buffer.alloc(mediaId === 'large' ? 60_000_000 : 3, 'x')
      })()
      return { content, contentType: 'text/plain', filename: 'remote.txt' }
    },
  })
  const answers = await Promise.all([download(alice, 'c.test/one'), download(alice, 'c.test/one')])
  for (const answer of answers) expect(answer.bytes.toString()).toBe('c.test xxx')
  const kept = await download(alice, 'c.test/one')
  expect(kept.headers.get('content-disposition')).toBe('inline; filename="remote.txt"')
  expect(fetches).toBe(1)
  expect((await download(alice, 'c.test/unknown')).status).toBe(404)
  expect(await download(alice, 'c.test/large')).toMatchObject({ status: 502, json: { errcode: 'M_TOO_LARGE' } })
  const local = await mediaRequest(alice, 'GET', '/_matrix/media/v3/download/c.test/two?allow_remote=false')
  expect(local.status).toBe(404)
  expect(fetches).toBe(3)
})
