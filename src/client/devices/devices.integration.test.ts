import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('devices are listed, read and renamed by their user only', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  await alice.put(`/devices/${alice.deviceId}`, { display_name: 'Office' })
  await server.ctx.lastSeen.flush()
  const device = await alice.get(`/devices/${alice.deviceId}`)
  expect(device).toEqual({
    device_id: alice.deviceId,
    display_name: 'Office',
    last_seen_ip: '127.0.0.1',
    last_seen_ts: expect.any(Number),
  })
  expect(await alice.get('/devices')).toEqual({ devices: [device] })
  for (const attempt of [
    bob.attempt('get', `/devices/${alice.deviceId}`),
    bob.attempt('put', `/devices/${alice.deviceId}`, { body: { display_name: 'Mine' } }),
    alice.attempt('get', '/devices/__proto__'),
  ]) {
    expect(await attempt).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
  }
})

test('a device may have any name that is a text', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  for (const deviceId of ['__proto__', 'a/b %2F?', 'ü😀']) {
    const client = await server.logIn('alice', { deviceId })
    expect((await client.get(`/devices/${encodeURIComponent(deviceId)}`)).device_id).toBe(deviceId)
  }
})
