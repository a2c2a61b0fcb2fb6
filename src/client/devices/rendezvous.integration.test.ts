import { expect, test } from 'vitest'
import { createFakeClock, startTestServer } from '../../testing/index.ts'

const path = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const plain = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const minutes = 60_000

test('two devices tell each other something in turn, and end it (MSC4388)', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  expect(await alice.get(path)).toEqual({ create_available: true })
  expect((await server.request('get', path)).body).toEqual({ create_available: false })
  expect(await server.request('post', path, { body: { data: 'x' } })).toMatchObject({
    status: 403,
    body: { errcode: 'M_FORBIDDEN' },
  })
  const made = await alice.post(path, { data: 'from one' })
  expect(made).toEqual({
    id: expect.stringMatching(/^[\w-]{16,255}$/),
    sequence_token: expect.stringMatching(/^[\w-]{16,255}$/),
    expires_in_ms: expect.any(Number),
  })
  const place = `${path}/${made.id}`
  const read = async () => (await server.request('get', place)).body
  expect(await read()).toEqual({
    data: 'from one',
    sequence_token: made.sequence_token,
    expires_in_ms: expect.any(Number),
  })
  const write = (token: string, data: unknown) =>
    server.request('put', place, { body: { sequence_token: token, data } })
  const second = (await write(made.sequence_token, 'from the other\0 é')).body
  expect(second.sequence_token).not.toBe(made.sequence_token)
  expect((await read()).data).toBe('from the other\0 é')
  // The same again, its answer was lost; something else, somebody was faster.
  expect((await write(made.sequence_token, 'from the other\0 é')).body).toEqual(second)
  expect(await write(made.sequence_token, 'too late')).toMatchObject({
    status: 409,
    body: { errcode: 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE' },
  })
  expect((await write(second.sequence_token, 'from the other\0 é')).body).not.toEqual(second)
  const navigation = await server.request('get', place, { headers: { 'sec-fetch-dest': 'document' } })
  expect(navigation).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  expect((await server.request('delete', place)).body).toEqual({})
  for (const method of ['get', 'delete']) {
    expect(await server.request(method, place)).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
  }
  expect((await write(second.sequence_token, 'x')).body.errcode).toBe('M_NOT_FOUND')
})

test('what is said is short, and over after five minutes', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock })
  const alice = await server.register('alice')
  await alice.post(path, { data: 'x'.repeat(4096) })
  for (const [body, errcode] of [
    [{ data: 'é'.repeat(2049) }, 'M_TOO_LARGE'],
    [{ data: 5 }, 'M_BAD_JSON'],
    [{}, 'M_MISSING_PARAM'],
    [{ data: '\ud800' }, 'M_BAD_JSON'],
  ] as const) {
    expect((await alice.attempt('post', path, { body })).body.errcode, JSON.stringify(body)).toBe(errcode)
  }
  const { id, expires_in_ms: left } = await alice.post(path, { data: '' })
  expect(left).toBe(5 * minutes)
  clock.advance(5 * minutes)
  expect((await server.request('get', `${path}/${id}`)).body.errcode).toBe('M_NOT_FOUND')
  await alice.post(path, { data: 'more' })
  const kept = await server.ctx.database.db.selectFrom('rendezvous_sessions').select('id').execute()
  expect(kept).toHaveLength(1)
})

test('any process has it, and nothing of either kind is there where it is switched off', async () => {
  await using one = await startTestServer({ redis: true })
  const config = { experimental: { msc4388: false } }
  await using other = await startTestServer({ sharing: one })
  await using off = await startTestServer({ sharing: one, config })
  const alice = await one.register('alice')
  const { id } = await alice.post(path, { data: 'hello' })
  expect((await other.request('get', `${path}/${id}`)).body.data).toBe('hello')
  for (const gone of [path, `${path}/${id}`, `${plain}/${id}`]) {
    expect((await off.request('get', gone)).body.errcode).toBe('M_UNRECOGNIZED')
  }
})

test('the same with text and ETags (MSC4108)', async () => {
  await using server = await startTestServer({ config: { experimental: { msc4108: true } } })
  const send = (method: string, url: string, headers: Record<string, string> = {}, body?: string) =>
    fetch(url, { method, headers, ...(body !== undefined && { body }) })
  const text = { 'content-type': 'text/plain' }
  const made = await send('POST', server.url + plain, text, 'from one')
  expect(made.status).toBe(201)
  expect(made.headers.get('cache-control')).toBe('no-store')
  expect(Date.parse(made.headers.get('expires')!)).toBeGreaterThan(Date.parse(made.headers.get('last-modified')!))
  const etag = made.headers.get('etag')!
  const place = server.url + new URL(((await made.json()) as { url: string }).url).pathname
  const read = await send('GET', place)
  expect([read.status, read.headers.get('content-type'), await read.text()]).toEqual([200, 'text/plain', 'from one'])
  expect((await send('GET', place, { 'if-none-match': etag })).status).toBe(304)
  const written = await send('PUT', place, { ...text, 'if-match': etag }, 'from the other')
  expect([written.status, written.headers.get('etag')]).toEqual([202, expect.not.stringContaining(etag)])
  const late = await send('PUT', place, { ...text, 'if-match': etag }, 'too late')
  expect(late.status).toBe(412)
  expect(late.headers.get('etag')).toBe(written.headers.get('etag'))
  expect(await late.json()).toMatchObject({ 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE' })
  expect(await (await send('GET', place, { 'if-none-match': etag })).text()).toBe('from the other')
  for (const [headers, errcode] of [
    [text, 'M_MISSING_PARAM'],
    [{ ...text, 'if-match': 'W/"x"' }, 'M_INVALID_PARAM'],
    [{ 'content-type': 'text/html', 'if-match': etag }, 'M_INVALID_PARAM'],
  ] as [Record<string, string>, string][]) {
    expect(await (await send('PUT', place, headers, 'x')).json()).toMatchObject({ errcode })
  }
  expect((await send('POST', server.url + plain, text, 'x'.repeat(4097))).status).toBe(413)
  expect((await send('DELETE', place)).status).toBe(204)
  expect((await send('GET', place)).status).toBe(404)
})
