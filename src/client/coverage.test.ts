import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { operationsOf } from '../testing/openapi.ts'
import { declarationOf, shapeOf } from '../testing/openapi-requests.ts'
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

const readmeFile = join(import.meta.dirname, '..', '..', 'README.md')

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

/** Without an endpoint. */
const missing = operations.filter(({ method, path }) => !served.has(`${method} ${shapeOf(path)}`))

test('what is missing is OAuth 2.0 and single sign-on', () => {
  expect(missing.map(({ operationId }) => operationId).sort()).toEqual([
    'getAuthMetadata',
    'redirectToIdP',
    'redirectToSSO',
  ])
})

test('the table in the README says so: `vitest -u` writes it', async () => {
  const readme = readFileSync(readmeFile, 'utf8')
  const [before, , after] = readme.split(/(?<=<!-- progress -->\n)([\s\S]*?)(?=<!-- \/progress -->)/)
  expect(after).toBeDefined()
  await expect(before + progressTable() + after).toMatchFileSnapshot(readmeFile)
})

function progressTable(): string {
  const bySection = Map.groupBy(
    operations,
    (operation) => (declarationOf(operation).tags?.[0] ?? 'Well-known documents') as string,
  )
  const rows = [...bySection].map(([section, all]) => {
    const absent = all.filter((operation) => missing.includes(operation)).map(({ operationId }) => operationId)
    return `| ${section} | ${all.length - absent.length} of ${all.length} | ${absent.sort().join(', ')} |`
  })
  const total = `${operations.length - missing.length} of ${operations.length}`
  return [
    '| section | operations | without |',
    '| --- | --- | --- |',
    ...rows.sort(),
    `| **all of the client-server API** | ${total} | |`,
    '',
  ].join('\n')
}
