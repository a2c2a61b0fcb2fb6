import { createDice, type Dice } from './dice.ts'
import { oddParams, oddQueries } from './odd-values.ts'
import { type Operation, operationsOf } from './openapi.ts'
import { declarationOf, shapeOf } from './openapi-requests.ts'
import { type Known, type Schema, type Writing, writeOdd, writeValue } from './schema-fuzz.ts'
import type { Answer } from './test-client.ts'

/** A path that is served, with `{name}` for parameters. */
export type Route = { readonly method: string; readonly path: string }

export type FuzzedRequest = Route & {
  /** With its query, from the root of the server. */
  readonly target: string
  readonly body: Buffer | undefined
  readonly contentType: string | undefined
}

type Described = Route & { readonly operation: Operation | undefined }

/** Query parameters that make a server wait: a fuzz would be about waiting. */
const waits = new Set(['timeout', 'timeout_ms'])

/**
 * Requests to all routes in turn, made after the specification's schemas and spoiled; where it has none, of keys that mean
 * something somewhere. The same seed, turn and known things give the same request.
 */
export function createRequestFuzz(
  routes: readonly Route[],
  seed: number,
): (turn: number, known: Known) => FuzzedRequest {
  const operations = new Map(operationsOf('client-server').map((one) => [`${one.method} ${shapeOf(one.path)}`, one]))
  const described: Described[] = routes.map((route) => ({
    ...route,
    operation: operations.get(`${route.method} ${shapeOf(route.path)}`),
  }))
  return (turn, known) => {
    const dice = createDice(seed * 1_000_003 + turn)
    // Requests that are right but for one place get furthest; those that are all wrong find what is looked at first.
    const writing = { dice, known, spoil: dice.pick([0, 0.03, 0.03, 0.1, 0.4]) }
    return requestTo(described[turn % described.length]!, writing, turn)
  }
}

function requestTo(route: Described, writing: Writing, turn: number): FuzzedRequest {
  const { method, path, operation } = route
  const target = pathFor(path, writing, turn) + queryFor(operation, writing)
  const request = { method, path, target, body: undefined, contentType: undefined }
  if (method === 'get') return request
  const { dice } = writing
  if (path.includes('/media/')) {
    const body = Buffer.from(writeOdd(writing)).subarray(0, 10_000)
    return {
      ...request,
      body,
      contentType: dice.pick(['image/png', 'text/html', '', 'x'.repeat(300), 'image/svg+xml']),
    }
  }
  if (method === 'delete' && dice.chance(0.5)) return request
  const contentType = dice.chance(0.03) ? dice.pick(['text/plain', 'multipart/form-data', 'x']) : 'application/json'
  return { ...request, body: bodyFor(operation, writing), contentType }
}

function bodyFor(operation: Operation | undefined, writing: Writing): Buffer {
  const { dice, spoil } = writing
  const text = writeValue(writing, bodySchemaOf(operation))
  return spoil > 0 && dice.chance(0.08) ? brokenText(text, dice) : Buffer.from(text)
}

function bodySchemaOf(operation: Operation | undefined): Schema {
  const media = operation && declarationOf(operation).requestBody?.content?.['application/json']
  return { schema: media?.schema ?? { type: 'object' }, file: operation?.file ?? '' }
}

/** What is no JSON, or no UTF-8, or not what JSON must look like. */
function brokenText(text: string, dice: Dice): Buffer {
  return dice.pick([
    () => Buffer.from(text.slice(0, Math.floor(text.length / 2))),
    () => Buffer.from(`${text}}`),
    () => Buffer.from(`\uFEFF${text}`),
    () => Buffer.from(text.replaceAll('"', "'")),
    () => Buffer.from(text, 'utf16le'),
    () => Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80]), Buffer.from('"}')]),
    () => Buffer.from(`{"a":NaN,${text.slice(1)}`),
    () => Buffer.from('\0'),
    () => Buffer.alloc(0),
  ])()
}

function pathFor(path: string, { dice, known, spoil }: Writing, turn: number): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (spoil > 0 && dice.chance(0.12)) return dice.pick(oddParams)
    if (name === 'txnId') return dice.chance(0.1) ? 'again' : `txn${turn}`
    const value = dice.chance(0.05) ? dice.pick([...known.values()]) : known.get(name)
    return encodeURIComponent(value ?? dice.pick(['x', 'm.test', '0', '1']))
  })
}

function queryFor(operation: Operation | undefined, writing: Writing): string {
  const { dice, known, spoil } = writing
  const parameters: Answer[] = (operation && declarationOf(operation).parameters) ?? []
  const parts: string[] = []
  for (const { name, schema, in: place } of parameters) {
    if (place !== 'query' || dice.chance(0.4)) continue
    const value = waits.has(name)
      ? dice.pick(['0', '-1', 'x'])
      : spoil > 0 && dice.chance(0.3)
        ? dice.pick(oddQueries)
        : plainText(writeValue(writing, { schema, file: operation!.file }, name))
    parts.push(`${name}=${encodeURIComponent(value.slice(0, 4000).toWellFormed())}`)
    if (dice.chance(spoil / 4)) parts.push(`${name}=${dice.pick(['', '1', '%00', '%ff', '%'])}`)
  }
  if (dice.chance(spoil / 4)) parts.push(`user_id=${encodeURIComponent(dice.pick([...known.values()]))}`)
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

function plainText(json: string): string {
  return json.startsWith('"') && json.length < 5000 ? String(JSON.parse(json)) : json
}
