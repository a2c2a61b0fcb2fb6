import { expect, test } from 'vitest'
import { createFakeClock, startTestServer, type TestClient } from '../../testing/index.ts'
import { download, mediaRequest } from '../../testing/media-requests.ts'

async function create(client: TestClient): Promise<{ media: string; expires: number }> {
  const body = await client.post('/_matrix/media/v1/create')
  return { media: body.content_uri.slice('mxc://'.length), expires: body.unused_expires_at }
}

function fill(client: TestClient, media: string, body = 'content') {
  return mediaRequest(client, 'PUT', `/_matrix/media/v3/upload/${media}?filename=late.txt`, {
    body,
    type: 'text/plain',
  })
}

test('a download waits for the upload', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { media, expires } = await create(alice)
  expect(expires).toBeGreaterThan(server.ctx.clock.now())
  expect(await download(bob, `${media}?timeout_ms=0`)).toMatchObject({
    status: 504,
    json: { errcode: 'M_NOT_YET_UPLOADED' },
  })
  const waiting = download(bob, media)
  expect(await fill(alice, media)).toMatchObject({ status: 200, json: {} })
  const answer = await waiting
  expect(answer.bytes.toString()).toBe('content')
  expect(answer.headers.get('content-disposition')).toBe('inline; filename="late.txt"')
})

test('in another process too', async () => {
  await using one = await startTestServer({ redis: true })
  await using two = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const { media } = await create(alice)
  const waiting = download(two.adopt(alice), media)
  await fill(alice, media)
  expect((await waiting).bytes.toString()).toBe('content')
})

test('M08: once, by whom the id was made for, in time', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock, config: { media: { unused_expires_seconds: 60 } } })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { media } = await create(alice)
  expect(await fill(bob, media)).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
  expect((await fill(alice, media)).status).toBe(200)
  expect(await fill(alice, media)).toMatchObject({ status: 409, json: { errcode: 'M_CANNOT_OVERWRITE_MEDIA' } })
  expect((await fill(alice, 'a.test/never')).status).toBe(404)
  const late = await create(alice)
  clock.advance(60_000)
  expect(await fill(alice, late.media)).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
  expect((await download(alice, `${late.media}?timeout_ms=0`)).status).toBe(404)
  const contended = await create(alice)
  const outcomes = await Promise.all(['one', 'two', 'three'].map((body) => fill(alice, contended.media, body)))
  expect(outcomes.map(({ status }) => status).sort()).toEqual([200, 409, 409])
  const winner = ['one', 'two', 'three'][outcomes.findIndex(({ status }) => status === 200)]
  expect((await download(alice, contended.media)).bytes.toString()).toBe(winner)
})

test('so many ids at a time', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({
    clock,
    config: { media: { unused_expires_seconds: 60, max_pending_uploads: 3 } },
  })
  const alice = await server.register('alice')
  const attempts = await Promise.all(
    [1, 2, 3, 4, 5].map(() => alice.attempt('post', '/_matrix/media/v1/create', { body: {} })),
  )
  expect(attempts.map(({ status }) => status).sort()).toEqual([200, 200, 200, 429, 429])
  const refused = attempts.find(({ status }) => status === 429)!
  expect(refused.body).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 60_000 })
  const made = attempts.find(({ status }) => status === 200)!
  await fill(alice, made.body.content_uri.slice(6))
  await create(alice)
  expect((await alice.attempt('post', '/_matrix/media/v1/create', { body: {} })).status).toBe(429)
  clock.advance(60_000)
  await create(alice)
})
