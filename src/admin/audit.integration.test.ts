import { expect, test } from 'vitest'
import { alwaysForServers, startAdminServer, startServer } from '../server.ts'
import { administrator, startAdministered } from '../testing/administration.ts'
import { startTestServer } from '../testing/index.ts'
import { sendRequest } from '../testing/test-client.ts'

test('O01: administrators have a listener of their own, and nobody finds them on that of clients', async () => {
  await using server = await startTestServer()
  const root = await administrator(server)
  const path = '/_synapse/admin/v1/server_version'
  expect((await root.attempt('get', path)).status).toBe(404)
  const apart = await startAdminServer(server.ctx, { port: 0 })
  try {
    const url = `http://127.0.0.1:${apart.port}`
    const answer = await sendRequest(url, 'get', path, { token: root.accessToken })
    expect(answer).toMatchObject({ status: 200, body: { server_version: expect.stringMatching(/^Chappe \d/) } })
    expect((await sendRequest(url, 'get', '/_matrix/client/versions')).status).toBe(404)
  } finally {
    await apart.close()
  }
})

test('O01, O02: nor on that of other servers', async () => {
  await using server = await startTestServer()
  const root = await administrator(server)
  const apart = await startServer(server.ctx, { port: 0, endpoints: alwaysForServers })
  try {
    const url = `http://127.0.0.1:${apart.port}`
    expect((await sendRequest(url, 'get', '/_matrix/key/v2/server')).status).toBe(200)
    for (const path of [
      '/_synapse/admin/v1/server_version',
      '/_chappe/admin/v1/audit',
      '/_chappe/metrics',
      '/_synapse/metrics',
      '/metrics',
      '/_matrix/client/v3/login',
    ]) {
      expect((await sendRequest(url, 'get', path, { token: root.accessToken })).status, path).toBe(404)
    }
  } finally {
    await apart.close()
  }
})

test('O14: every call leaves an entry, also those that are refused, and none tells a secret', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const reset = `/_synapse/admin/v1/reset_password/${encodeURIComponent(alice.userId)}`
  await root.post(reset, { new_password: 'a quite secret word', logout_devices: false })
  expect((await alice.attempt('post', reset, { body: { new_password: 'x' } })).body.errcode).toBe('M_FORBIDDEN')
  expect((await server.request('post', reset, { body: {} })).status).toBe(401)
  expect((await server.request('post', reset, { body: {}, token: 'nonsense' })).status).toBe(401)
  expect((await root.attempt('post', reset, { body: {} })).body.errcode).toBe('M_MISSING_PARAM')
  const unknown = '/_synapse/admin/v2/users/@nobody:a.test'
  expect((await root.attempt('get', unknown)).status).toBe(404)

  const { entries } = await root.get('/_chappe/admin/v1/audit', { dir: 'f' })
  const seen = entries.map((one: Record<string, unknown>) => [
    one.actor,
    one.operation,
    one.target,
    one.status,
    one.errcode,
  ])
  const operation = 'POST /_synapse/admin/v1/reset_password/{userId}'
  expect(seen).toEqual([
    [root.userId, operation, alice.userId, 200, null],
    [alice.userId, operation, null, 403, 'M_FORBIDDEN'],
    [null, operation, null, 401, 'M_MISSING_TOKEN'],
    [null, operation, null, 401, 'M_UNKNOWN_TOKEN'],
    [root.userId, operation, null, 400, 'M_MISSING_PARAM'],
    [root.userId, 'GET /_synapse/admin/v2/users/{userId}', '@nobody:a.test', 404, 'M_NOT_FOUND'],
    [root.userId, 'GET /_chappe/admin/v1/audit', null, null, null],
  ])
  expect(entries[0]).toMatchObject({ address: '127.0.0.1', details: { new_password: 'string', logout_devices: false } })
  expect(JSON.stringify(entries)).not.toContain('quite secret')

  const failed = await root.get('/_chappe/admin/v1/audit', { failed: true, limit: 2 })
  expect(failed.entries).toHaveLength(2)
  const rest = await root.get('/_chappe/admin/v1/audit', { failed: true, from: failed.next_token })
  expect(rest.entries).toHaveLength(3)
  const ofAlice = await root.get('/_chappe/admin/v1/audit', { target: alice.userId })
  expect(ofAlice.entries).toHaveLength(1)
})

test('nobody changes what was written', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  await root.get('/_synapse/admin/v1/server_version')
  const { db } = server.ctx.database
  await expect(db.updateTable('audit_log').set({ actor: '@x:a.test' }).execute()).rejects.toThrow(/never changed/)
  await expect(db.deleteFrom('audit_log').execute()).rejects.toThrow(/never changed/)
  await expect(db.deleteFrom('audit_outcomes').execute()).rejects.toThrow(/never changed/)
  await expect(server.ctx.database.transaction((query) => query('truncate audit_log cascade', []))).rejects.toThrow(
    /never changed/,
  )
})

test('who keeps knocking is no longer written down', async () => {
  const { server } = await startAdministered({
    config: { rate_limits: { enabled: true, admin_refused: { per_second: 0.001, burst_count: 2 } } },
  })
  await using _ = server
  const statuses = []
  for (let attempt = 0; attempt < 4; attempt++) {
    statuses.push((await server.request('get', '/_synapse/admin/v2/users', { token: 'guess' })).status)
  }
  expect(statuses).toEqual([401, 401, 429, 429])
  expect(await server.ctx.database.db.selectFrom('audit_log').selectAll().execute()).toHaveLength(2)
})
