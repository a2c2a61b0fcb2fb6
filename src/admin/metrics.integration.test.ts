import { expect, test } from 'vitest'
import { startAdminServer } from '../server.ts'
import { followerPositions } from '../storage/stream-followers.ts'
import { startAdministered } from '../testing/administration.ts'
import { startTestServer, type TestServerOptions } from '../testing/index.ts'

const path = '/_chappe/metrics'

async function start(options: TestServerOptions = {}) {
  const server = await startTestServer(options)
  const apart = await startAdminServer(server.ctx, { port: 0 })
  return {
    server,
    scrape: (headers: Record<string, string> = {}) => fetch(`http://127.0.0.1:${apart.port}${path}`, { headers }),
    async [Symbol.asyncDispose]() {
      await apart.close()
      await server.close()
    },
  }
}

/** The value of a series, by its name and labels as they are written. */
function told(text: string, series: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

test('what happened is told in the form of Prometheus', async () => {
  await using started = await start()
  const { server, scrape } = started
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'a quite secret word' })
  await server.request('get', '/_matrix/client/v3/account/whoami')
  await server.request('get', `/nothing/${alice.userId}`)
  const answer = await scrape()
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  const text = await answer.text()
  const send = 'PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}'
  const whoami = 'GET /_matrix/client/v3/account/whoami'
  expect(told(text, `chappe_http_requests_total{operation="${send}",status="200"}`)).toBe(1)
  expect(told(text, `chappe_http_requests_total{operation="${whoami}",status="401"}`)).toBe(1)
  expect(told(text, `chappe_http_requests_total{operation="unknown",status="404"}`)).toBe(1)
  expect(told(text, `chappe_http_request_duration_seconds_count{operation="${send}"}`)).toBe(1)
  expect(told(text, `chappe_http_requests_in_progress{operation="GET ${path}"}`)).toBe(1)
  expect(told(text, 'chappe_writer_batch_units_count')).toBeGreaterThan(1)
  expect(told(text, 'chappe_writer_wait_seconds_count')).toBeGreaterThan(1)
  expect(told(text, 'chappe_database_statements_total')).toBeGreaterThan(10)
  expect(told(text, 'chappe_database_up')).toBe(1)
  expect(told(text, 'chappe_stream_position')).toBe(server.ctx.stream.position)
  expect(told(text, 'chappe_stream_lag_positions')).toBe(0)
  expect(told(text, 'chappe_cache_entries{cache="rooms"}')).toBe(1)
  expect(told(text, 'chappe_queue_length{queue="writer"}')).toBe(0)
  expect(told(text, 'chappe_memory_bytes{kind="resident"}')).toBeGreaterThan(1e7)
  expect(told(text, 'nodejs_eventloop_lag_seconds{quantile="0.99"}')).toBeGreaterThanOrEqual(0)
  for (const hidden of [alice.userId, room, 'secret', alice.accessToken]) expect(text).not.toContain(hidden)
})

test('a scrape costs one statement, however many ask at once', async () => {
  await using started = await start()
  const { metrics, database } = started.server.ctx
  const { cost } = database
  cost.log = []
  const looked = () => cost.log!.filter((text) => text === followerPositions.text).length
  await metrics.scrape()
  expect(looked()).toBe(1)
  await Promise.all([metrics.scrape(), metrics.scrape(), metrics.scrape()])
  expect(looked()).toBe(2)
})

test('O02: they are never served to clients, also where administrators are', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  expect((await root.attempt('get', path)).status).toBe(404)
  expect((await root.attempt('get', '/_synapse/admin/v1/server_version')).status).toBe(200)
})

test('where there is a token, nobody gets them without', async () => {
  await using started = await start({
    config: {
      metrics: { token: 'scraper of the ministry' },
      rate_limits: { enabled: true, admin_refused: { per_second: 0.001, burst_count: 2 } },
    },
  })
  const { scrape } = started
  const answers = [await scrape(), await scrape({ authorization: 'Bearer guess' }), await scrape()]
  expect(answers.map(({ status }) => status)).toEqual([401, 401, 429])
  expect(await answers[1]!.json()).toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
  expect((await scrape({ authorization: 'Bearer scraper of the ministry' })).status).toBe(200)
})

test('without the database what the process knows itself is still told', async () => {
  await using started = await start()
  const { server, scrape } = started
  const text = await (await scrape()).text()
  expect(told(text, 'chappe_stream_position')).toBeGreaterThanOrEqual(0)
  await server.ctx.database.transaction((query) => query('alter table stream rename to hidden_stream', []))
  const later = await (await scrape()).text()
  expect(told(later, 'chappe_database_up')).toBe(0)
  expect(told(later, 'chappe_stream_position')).toBeUndefined()
  expect(told(later, 'chappe_memory_bytes{kind="resident"}')).toBeGreaterThan(1e7)
  await server.ctx.database.transaction((query) => query('alter table hidden_stream rename to stream', []))
})
