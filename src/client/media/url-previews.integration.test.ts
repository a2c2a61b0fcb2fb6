import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { createFakeClock, startTestServer, type TestClient, type TestResponse } from '../../testing/index.ts'

type Pages = { [path: string]: (request: IncomingMessage, response: ServerResponse) => void }

/** Pages of others, on an address of its own; counts what it is asked. */
async function startPages(pages: Pages, address = '127.0.0.2') {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    const page = pages[request.url!.split('?')[0]!]
    if (page) page(request, response)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const { port } = server.address() as AddressInfo
  return {
    asked,
    port,
    url: `http://${address}:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const html =
  (text: string, headers: object = {}) =>
  (_request: IncomingMessage, response: ServerResponse) =>
    response.writeHead(200, { 'content-type': 'text/html', ...headers }).end(text)

const redirect = (location: string) => (_request: IncomingMessage, response: ServerResponse) =>
  response.writeHead(302, { location }).end()

const png = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } })
  .png()
  .toBuffer()
const image = (_request: IncomingMessage, response: ServerResponse) =>
  response.writeHead(200, { 'content-type': 'image/png' }).end(png)

const on = (more: object = {}) => ({
  config: { url_previews: { enabled: true, allow_addresses: ['127.0.0.2'], ports: [], ...more } },
})

function preview(client: TestClient, url: string): Promise<TestResponse> {
  return client.attempt('get', '/_matrix/client/v1/media/preview_url', { query: { url } })
}

test('what a page says, with its image as media of ours; remembered, and at the older path', async () => {
  await using server = await startTestServer(on())
  await using pages = await startPages({
    '/page': html('<meta property="og:title" content="The Rock"><meta property="og:image" content="images/a.png">'),
    '/images/a.png': image,
    '/moved': redirect('/page'),
  })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const first = await preview(alice, `${pages.url}/page#part`)
  expect([first.status, first.body]).toEqual([
    200,
    {
      'og:title': 'The Rock',
      'og:image': expect.stringMatching(/^mxc:\/\/a\.test\//),
      'og:image:type': 'image/png',
      'og:image:width': 30,
      'og:image:height': 20,
      'matrix:image:size': png.length,
    },
  ])
  const media = first.body['og:image'].slice('mxc://'.length)
  const shown = await fetch(`${server.url}/_matrix/client/v1/media/download/${media}`, {
    headers: { authorization: `Bearer ${bob.accessToken}` },
  })
  expect(Buffer.from(await shown.arrayBuffer()).equals(png)).toBe(true)
  expect((await preview(bob, `${pages.url}/page`)).body).toEqual(first.body)
  expect(pages.asked).toEqual(['/page', '/images/a.png'])
  const query = { url: `${pages.url}/moved`, ts: 1 }
  // The same image again keeps its URI.
  expect((await bob.attempt('get', '/_matrix/media/v3/preview_url', { query })).body).toEqual(first.body)
  expect((await server.request('get', '/_matrix/client/v1/media/preview_url')).status).toBe(401)
  expect((await bob.attempt('get', '/_matrix/client/v1/media/preview_url')).body.errcode).toBe('M_MISSING_PARAM')
})

test('off unless the operator wants it', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  expect((await preview(alice, 'https://example.com/')).body.errcode).toBe('M_UNRECOGNIZED')
})

test('M10: nothing inside the network is asked, by whatever way', async () => {
  await using canary = await startPages({ '/': html('<title>Secret</title>'), '/a.png': image }, '127.0.0.1')
  const { port } = canary
  const inside = [
    `http://127.0.0.1:${port}/`,
    `http://127.1:${port}/`,
    `http://0x7f.1:${port}/`,
    `http://2130706433:${port}/`,
    `http://0177.0.0.1:${port}/`,
    `http://[::1]:${port}/`,
    `http://[::]:${port}/`,
    `http://[::ffff:127.0.0.1]:${port}/`,
    `http://0.0.0.0:${port}/`,
    `http://localhost:${port}/`,
    `http://localhost.:${port}/`,
    `http://user:pass@127.0.0.2:${port}/`,
    `http://denied.test:${port}/`,
    `http://www.denied.test.:${port}/`,
  ]
  await using pages = await startPages({
    ...Object.fromEntries(inside.map((url, index) => [`/to${index}`, redirect(url)])),
    '/chain': redirect('/to0'),
    '/loop': redirect('/loop'),
    '/file': redirect('file:///etc/passwd'),
    '/nowhere': redirect('http://'),
    ...Object.fromEntries(
      inside.map((url, index) => [
        `/image${index}`,
        html(`<title>T</title><meta property="og:image" content="${url}a.png">`),
      ]),
    ),
    '/image': html('<title>T</title><meta property="og:image" content="/to0">'),
  })
  await using server = await startTestServer(on({ deny_hosts: ['denied.test'] }))
  const alice = await server.register('alice')
  const refused = async (url: string): Promise<void> => {
    const { status, body } = await preview(alice, url)
    expect([403, 502], `${url} ${JSON.stringify(body)}`).toContain(status)
    expect(JSON.stringify(body)).not.toMatch(/Secret|ECONN|127/)
  }
  for (const [index, url] of inside.entries()) {
    await refused(url)
    await refused(`${pages.url}/to${index}`)
    expect((await preview(alice, `${pages.url}/image${index}`)).body).toEqual({ 'og:title': 'T' })
  }
  for (const path of ['/chain', '/loop', '/file', '/nowhere']) await refused(pages.url + path)
  expect((await preview(alice, `${pages.url}/image`)).body).toEqual({ 'og:title': 'T' })
  expect(canary.asked).toEqual([])
  for (const url of ['x', 'file:///etc/passwd', 'javascript:alert(1)', '']) {
    expect((await preview(alice, url)).status, url).toBe(400)
  }
  await using usual = await startTestServer(on({ ports: [80, 443] }))
  const bob = await usual.register('bob')
  for (const other of [22, 25, pages.port]) expect((await preview(bob, `http://127.0.0.2:${other}/`)).status).toBe(403)
  expect(pages.asked.filter((path) => path === '/')).toEqual([])
})

test('M11: pages that are too large, too deep, without end, no pages or no answers', async () => {
  await using server = await startTestServer(on({ max_page_bytes: 200_000, max_image_bytes: 1000 }))
  const alice = await server.register('alice')
  const forEver =
    (start: string, type = 'text/html') =>
    (_request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(200, { 'content-type': type })
      response.write(start)
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536, ' '))) if (response.destroyed) return
      }
      response.on('drain', more)
      more()
    }
  await using pages = await startPages({
    '/large': html(`<title>Large</title>${' '.repeat(5_000_000)}`),
    '/deep': html(`<title>Deep</title>${'<div>'.repeat(1_000_000)}`),
    '/endless': forEver('<title>Endless</title>'),
    '/bomb': html('<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><title>&b;</title>', {
      'content-type': 'application/xhtml+xml',
    }),
    '/charset': html('<title>x\xff</title>', { 'content-type': 'text/html; charset=no-such-thing' }),
    '/binary': html('\0\x01', { 'content-type': 'application/octet-stream' }),
    '/packed': html('packed', { 'content-encoding': 'gzip' }),
    '/error': (_request, response) => response.writeHead(500).end(),
    '/broken': (_request, response) => response.destroy(),
    '/wrong-length': (request, response) => {
      response.writeHead(200, { 'content-type': 'text/html', 'content-length': '1000' })
      response.write('<title>Short</title>', () => request.socket.destroy())
    },
    '/endless-image': html('<title>I</title><meta property="og:image" content="/image-without-end">'),
    '/image-without-end': forEver(png.toString('latin1'), 'image/png'),
    '/no-image': html('<title>I</title><meta property="og:image" content="/svg">'),
    '/svg': html('<svg xmlns="http://www.w3.org/2000/svg"/>', { 'content-type': 'image/png' }),
    '/undecodable': html('<title>I</title><meta property="og:image" content="/broken-png">'),
    '/broken-png': (_request, response) =>
      response
        .writeHead(200, { 'content-type': 'image/png' })
        .end(Buffer.concat([png.subarray(0, 8), Buffer.alloc(50)])),
    '/image.png': image,
  })
  const started = performance.now()
  const answers: Record<string, unknown> = {}
  for (const path of ['large', 'deep', 'endless', 'bomb', 'charset', 'binary', 'wrong-length']) {
    answers[path] = (await preview(alice, `${pages.url}/${path}`)).body
  }
  expect(answers).toEqual({
    large: { 'og:title': 'Large' },
    deep: { 'og:title': 'Deep' },
    endless: { 'og:title': 'Endless' },
    bomb: { 'og:title': '&b;' },
    charset: { 'og:title': expect.stringMatching(/^x/) },
    binary: {},
    'wrong-length': { 'og:title': 'Short' },
  })
  for (const path of ['packed', 'error', 'broken', 'nothing', 'svg']) {
    const { status, body } = await preview(alice, `${pages.url}/${path}`)
    expect([status, body.errcode], path).toEqual([502, 'M_CONNECTION_FAILED'])
  }
  for (const path of ['endless-image', 'no-image', 'undecodable']) {
    expect((await preview(alice, `${pages.url}/${path}`)).body, path).toEqual({ 'og:title': 'I' })
  }
  expect((await preview(alice, `${pages.url}/image.png`)).body).toMatchObject({ 'og:image:width': 30 })
  expect(performance.now() - started).toBeLessThan(10_000)
  const { db } = server.ctx.database
  expect(await db.selectFrom('media').select('media_id').execute()).toHaveLength(1)
})

test('old previews and their images are deleted', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ ...on({ cache_seconds: 60 }), clock })
  await using pages = await startPages({ '/a.png': image, '/page': html('<title>T</title>') })
  const alice = await server.register('alice')
  const { body } = await preview(alice, `${pages.url}/a.png`)
  await preview(alice, `${pages.url}/page`)
  const { db } = server.ctx.database
  const counts = async () => {
    const rows = await Promise.all([
      db.selectFrom('url_previews').select('url').execute(),
      db.selectFrom('url_preview_images').select('media_id').execute(),
      db.selectFrom('media').select('media_id').execute(),
    ])
    return rows.map(({ length }) => length)
  }
  expect(await counts()).toEqual([2, 1, 1])
  clock.advance(61_000)
  await server.ctx.urlPreviews.prune()
  expect(await counts()).toEqual([0, 1, 1])
  expect((await preview(alice, `${pages.url}/a.png`)).body).toEqual(body)
  expect(pages.asked.filter((path) => path === '/a.png')).toHaveLength(2)
  clock.advance(8 * 24 * 60 * 60 * 1000)
  await server.ctx.urlPreviews.prune()
  expect(await counts()).toEqual([0, 0, 0])
})
