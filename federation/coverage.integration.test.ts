import { expect, test } from 'vitest'
import { operationsOf } from '../src/testing/openapi.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'

/** Operations that are only there where the operator wants them. */
const config = {
  policy_server: { enabled: true },
  mail: { identity_servers: ['identity.test'] },
}

test('every operation of the server-server specification is served', async () => {
  await using home = await startFederatedServer({}, { config })
  const unserved: string[] = []
  for (const { method, path } of operationsOf('server-server')) {
    const uri = path.replace('{queryType}', 'profile').replaceAll(/\{\w+\}/g, 'one')
    const { body } = await home.request(method, uri)
    if (body.errcode === 'M_UNRECOGNIZED') unserved.push(`${method} ${path}`)
  }
  expect(unserved).toEqual([])
})

test('where nobody is federated with, there is no federation', async () => {
  await using home = await startFederatedServer({ allow: [] })
  for (const path of ['/_matrix/federation/v1/version', '/_matrix/federation/v1/event/one']) {
    const { status, body } = await home.request('get', path)
    expect([path, status, body.errcode]).toEqual([path, 404, 'M_UNRECOGNIZED'])
  }
})
