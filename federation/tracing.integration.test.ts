import { expect, test } from 'vitest'
import { type RecordingServer, startRecordingServer } from '../src/testing/recording-server.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { operationOf } from './remote/client.ts'
import { pair, sees, via } from './two-servers.fixtures.ts'

type Attribute = { readonly key: string; readonly value: { readonly [type: string]: unknown } }
type Span = {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly attributes: readonly Attribute[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}

/** What a collector was sent in OTLP over HTTP. */
function spansIn(collector: RecordingServer): Span[] {
  return collector.requests.flatMap(({ body }) =>
    body.resourceSpans.flatMap((resource: { scopeSpans: { spans: Span[] }[] }) =>
      resource.scopeSpans.flatMap(({ spans }) => spans),
    ),
  )
}

function attribute(span: Span, key: string): unknown {
  return Object.values(span.attributes.find((one) => one.key === key)?.value ?? {})[0]
}

test('a message is traced from its request to its statements and to other servers, and nothing that is private', async () => {
  await using collector = await startRecordingServer()
  const tracing = { endpoint: `${collector.url}/v1/traces`, authorization: 'Bearer of the collector' }
  const { one, other, alice, bob } = await pair({}, { config: { tracing, trusted_proxies: ['127.0.0.1'] } })
  const [traceId, parentSpanId] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  const servers: readonly TestServer[] = [one, other]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await one.request('put', `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/txn-of-alice`, {
    token: alice.accessToken,
    headers: { traceparent: `00-${traceId}-${parentSpanId}-01`, 'x-request-id': 'edge-1' },
    body: { msgtype: 'm.text', body: 'a quite secret word' },
  })
  await sees(bob, room, 'a quite secret word')
  for (const server of servers) await server[Symbol.asyncDispose]()

  const spans = spansIn(collector)
  const sent = spans.find((span) => attribute(span, 'chappe.request_id') === 'edge-1')!
  expect(sent).toMatchObject({
    name: 'PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
    kind: 2,
    traceId,
    parentSpanId,
  })
  expect(attribute(sent, 'http.response.status_code')).toBe(200)
  const batch = spans.find(
    ({ name, links }) => name === 'writer batch' && links.some((link) => link.traceId === traceId),
  )!
  expect(batch.links).toContainEqual(expect.objectContaining({ traceId, spanId: sent.spanId }))
  const inBatch = spans.filter((span) => span.parentSpanId === batch.spanId)
  expect(inBatch.map((span) => attribute(span, 'db.query.summary'))).toContain('insert events')
  const asked = spans.filter(({ kind, name }) => kind === 3 && name.includes('/_matrix/'))
  expect(asked.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'GET /_matrix/federation/v1/make_join',
      'PUT /_matrix/federation/v2/send_join',
      'PUT /_matrix/federation/v1/send',
    ]),
  )
  // Other servers are told in nobody's course: that goes on when the request is long answered.
  const toldOthers = asked.filter(({ name }) => name === 'PUT /_matrix/federation/v1/send')
  expect(toldOthers.filter((span) => span.parentSpanId)).toEqual([])
  const text = JSON.stringify(collector.requests.map(({ body }) => body))
  const hidden = ['secret', 'txn-of-alice', alice.accessToken, bob.accessToken, alice.userId, bob.userId, room]
  for (const secret of [...hidden, 'alice', 'bob', '127.0.0.1/', '"127.0.0.1"']) expect(text).not.toContain(secret)
  expect(collector.requests[0]).toMatchObject({ path: '/v1/traces', headers: { authorization: tracing.authorization } })
})

test('a request to another server is called by its operation', () => {
  expect(operationOf('/_matrix/federation/v1/make_join/!room:a/@user:b?ver=12')).toBe(
    '/_matrix/federation/v1/make_join',
  )
  expect(operationOf('/_matrix/key/v2/server')).toBe('/_matrix/key/v2/server')
})
