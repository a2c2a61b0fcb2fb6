import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, passwordOf, startTestServer, type TestClient, type TestServer } from '../testing/index.ts'
import { oddParams, oddQueries, oddValues } from '../testing/odd-values.ts'
import { type Operation, operationsOf } from '../testing/openapi.ts'
import { exampleOf, queryNamesOf, shapeOf } from '../testing/openapi-requests.ts'
import { endpoints } from './index.ts'

/** Every operation that is served, with the specification's own example of a request, spoiled in one place at a time. */

type Json = Answer
type Path = readonly (string | number)[]

const valuesPerPlace = 6

/** These end the session that asks, so they are asked last and by a session of their own. */
const endsSession = /\/(logout|logout\/all|account\/deactivate|account\/password|delete_devices)$/
/** And these end what others need. */
const endsOthers = /\/(leave|forget|upgrade|kick|ban|room_keys\/version)$/
/** Names of query parameters that make the server wait. */
const waits = new Set(['timeout', 'timeout_ms'])

let server: TestServer
let alice: TestClient
let params: ReadonlyMap<string, string>
let operations: readonly Operation[]

beforeAll(async () => {
  server = await startTestServer()
  alice = await server.register('alice')
  await server.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  const { event_id: event } = await alice.send(room, 'm.room.message', { body: 'hello' })
  await alice.post('/room_keys/version', {
    algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
    auth_data: { public_key: 'key' },
  })
  params = new Map([
    ['roomId', room],
    ['roomIdOrAlias', room],
    ['userId', alice.userId],
    ['eventId', event],
    ['deviceId', alice.deviceId],
    ['eventType', 'm.test'],
    ['type', 'm.test'],
    ['relType', 'm.annotation'],
    ['stateKey', ''],
    ['keyName', 'displayname'],
    ['tag', 'u.test'],
    ['roomAlias', '#alias:a.test'],
    ['receiptType', 'm.read'],
    ['kind', 'override'],
    ['ruleId', 'rule'],
    ['filterId', '0'],
    ['version', '1'],
    ['sessionId', 'session'],
    ['serverName', 'a.test'],
    ['mediaId', 'media'],
  ])
  const served = new Set(endpoints.flatMap(({ method, paths }) => paths.map((path) => `${method} ${shapeOf(path)}`)))
  operations = operationsOf('client-server').filter(({ method, path }) => served.has(`${method} ${shapeOf(path)}`))
})
afterAll(() => server.close())

test('no body, however odd, is an internal error', async () => {
  const failures: string[] = []
  let asked = 0
  const ordered = operations
    .filter(({ path, method }) => method !== 'get' && !path.includes('/media/'))
    .toSorted((a, b) => turnOf(a) - turnOf(b))
  for (const [index, operation] of ordered.entries()) {
    const example = madeReal(exampleOf(operation))
    if (example === undefined) continue
    const client = endsSession.test(operation.path) ? await server.logIn('alice') : alice
    for (const body of bodiesFrom(example, index)) {
      asked += 1
      const failure = await failureOf(client, operation.method, pathOf(operation, params, asked), body)
      if (failure) failures.push(failure)
    }
  }
  expect(failures).toEqual([])
  expect(asked).toBeGreaterThan(500)
  await alice.get('/account/whoami')
}, 120_000)

test('no query and no path, however odd, is an internal error', async () => {
  const failures: string[] = []
  for (const operation of operations.filter(({ method }) => method === 'get')) {
    const names = queryNamesOf(operation).filter((name) => !waits.has(name))
    const plain = pathOf(operation, params, 0)
    const queries = names.flatMap((name) => oddQueries.map((value) => `?${new URLSearchParams({ [name]: value })}`))
    const paths = [...operation.path.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) =>
      oddParams.map((odd) => pathOf(operation, new Map([...params, [name!, decodeOrKeep(odd)]]), 0)),
    )
    for (const path of [plain, ...queries.map((query) => plain + query), ...paths]) {
      const failure = await failureOf(alice, 'get', path)
      if (failure) failures.push(failure)
    }
  }
  expect(failures).toEqual([])
}, 120_000)

function turnOf({ path }: Operation): number {
  return endsSession.test(path) ? 2 : endsOthers.test(path) ? 1 : 0
}

/** What is wrong with an answer; `undefined` when the request is done or refused as the specification wants it. */
async function failureOf(client: TestClient, method: string, path: string, body?: string): Promise<string | undefined> {
  const request = `${method} ${path.slice(0, 200)} ${body?.slice(0, 300) ?? ''}`
  const response = await client.attempt(method, path, body === undefined ? {} : { body })
  return response.status < 500 ? undefined : `${request} → ${response.status} ${JSON.stringify(response.body)}`
}

/** The example about users, rooms and events that there are. */
function madeReal(example: Json): Json {
  if (example === undefined) return undefined
  const text = JSON.stringify(example)
    .replaceAll(/"@[^":]*:[^"]*"/g, '"@bob:a.test"')
    .replaceAll(/"![^"]*"/g, JSON.stringify(params.get('roomId')))
    .replaceAll(/"\$[^"]*"/g, JSON.stringify(params.get('eventId')))
  const made = JSON.parse(text)
  // Without an identity server these are refused before anything else is looked at.
  for (const name of ['invite_3pid', 'id_server', 'medium', 'address']) delete made[name]
  if (made.password !== undefined) Object.assign(made, { password: passwordOf('alice') })
  if (made.identifier !== undefined) made.identifier = { type: 'm.id.user', user: 'alice' }
  if (made.auth !== undefined) made.auth = { type: 'm.login.dummy' }
  return made
}

/** The example with odd values in each of its places, then odd values in place of all of it. */
function* bodiesFrom(example: Json, seed: number): Iterable<string> {
  yield JSON.stringify(example)
  let turn = seed
  for (const path of placesIn(example)) {
    yield withOdd(example, path, '"a\\u0000b"')
    for (let count = 1; count < valuesPerPlace; count += 1) {
      // A step that shares no factor with the number of values takes every value in turn.
      turn += 7
      yield withOdd(example, path, oddValues[turn % oddValues.length]!)
    }
  }
  yield* ['[]', 'null', '"x"', '5', '', '{', '{"__proto__":null}', oddValues.at(-1)!]
}

const mostPlaces = 14

function placesIn(value: Json, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return []
  const places = Object.keys(value).flatMap((key) => {
    const place = [...path, Array.isArray(value) ? Number(key) : key]
    return [place, ...placesIn(value[key], place)]
  })
  return places.slice(0, mostPlaces)
}

function withOdd(example: Json, path: Path, odd: string): string {
  const mark = 'the odd value'
  const copy = structuredClone(example)
  let parent = copy
  for (const key of path.slice(0, -1)) parent = parent[key]
  parent[path.at(-1)!] = mark
  return JSON.stringify(copy).replace(JSON.stringify(mark), () => odd)
}

function pathOf(operation: Operation, values: ReadonlyMap<string, string>, txn: number): string {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(name === 'txnId' ? `txn${txn}` : (values.get(name) ?? 'x')),
  )
  return path.includes('/room_keys/keys') && operation.method === 'put' ? `${path}?version=1` : path
}

function decodeOrKeep(text: string): string {
  return text.startsWith('%') ? decodeURIComponent(text) : text
}
