import { expect, test } from 'vitest'
import { operationsOf } from '../testing/openapi.ts'
import { shapeOf } from '../testing/openapi-requests.ts'
import { endpoints } from './index.ts'

/** What is served although the specification lists no such operation for clients, and why. */
const beyond = [
  /^\/_matrix\/client\/unstable\//, // features on their way into it
  /^\/_matrix\/client\/(r0|v3|v1)\//, // earlier versions of a path, checked below
  /^\/_matrix\/client\/v4\/sync$/, // MSC4186, accepted and in no version yet
  /^\/_matrix\/(media|key|federation)\//, // the media repository and what other servers ask
  /^\/\.well-known\/matrix\/server$/,
  /^\/_synapse\/admin\/v1\/register$/, // what every tool of the ecosystem registers users with
]

const operations = operationsOf('client-server')

const served = new Set(endpoints.flatMap(({ method, paths }) => paths.map((path) => `${method} ${shapeOf(path)}`)))
const specified = new Set(operations.map(({ method, path }) => `${method} ${shapeOf(path)}`))

test('every path is the specification’s, or is accounted for', () => {
  const unknown = [...served].filter((route) => !specified.has(route))
  expect(unknown.filter((route) => !beyond.some((pattern) => pattern.test(route.split(' ')[1]!)))).toEqual([])
})

test('an endpoint with a path of the current version has one that the specification knows', () => {
  const strays = endpoints.filter(({ method, paths }) => {
    const current = paths.filter((path) => /^\/_matrix\/client\/(v[1-3])\//.test(path))
    return current.length > 0 && !current.some((path) => specified.has(`${method} ${shapeOf(path)}`))
  })
  expect(strays.map(({ method, paths }) => `${method} ${paths.join(' ')}`)).toEqual([])
})

test('what is still missing', () => {
  const missing = operations.filter(({ method, path }) => !served.has(`${method} ${shapeOf(path)}`))
  const done = operations.length - missing.length
  console.log(`${done} of ${operations.length} client-server operations; without an endpoint:`)
  console.log(missing.map(({ operationId }) => operationId).join(', '))
  expect(done).toBeGreaterThan(0)
})
