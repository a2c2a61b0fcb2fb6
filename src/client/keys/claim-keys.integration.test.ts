import { expect, test } from 'vitest'
import { oneTimeKeys, signedDeviceKeys } from '../../keys/fixtures.ts'
import { startTestServer, type TestClient } from '../../testing/index.ts'

async function claim(by: TestClient, of: TestClient, algorithm = 'signed_curve25519') {
  const body = { one_time_keys: { [of.userId]: { [of.deviceId]: algorithm } } }
  const { one_time_keys: keys } = await by.post('/keys/claim', body)
  return keys[of.userId]?.[of.deviceId]
}

const counts = async (client: TestClient) => {
  const answer = await client.sync({ timeout: 0 })
  return [answer.device_one_time_keys_count, answer.device_unused_fallback_key_types]
}

test('each key once and in order, then the fallback key again and again', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  expect(await counts(bob)).toEqual([{ signed_curve25519: 0 }, []])
  const [first, second] = [oneTimeKeys(bob, 1, 'first'), oneTimeKeys(bob, 1, 'second')]
  await bob.post('/keys/upload', { one_time_keys: first })
  const fallback = Object.values(oneTimeKeys(bob, 1, 'f'))[0] as object
  const fallbackKeys = { 'signed_curve25519:fall': { ...fallback, fallback: true } }
  await bob.post('/keys/upload', { one_time_keys: second, fallback_keys: fallbackKeys })
  expect(await counts(bob)).toEqual([{ signed_curve25519: 2 }, ['signed_curve25519']])
  expect(await claim(alice, bob)).toEqual(first)
  expect(await claim(alice, bob)).toEqual(second)
  expect(await counts(bob)).toEqual([{ signed_curve25519: 0 }, ['signed_curve25519']])
  expect(await claim(alice, bob)).toEqual(fallbackKeys)
  expect(await claim(alice, bob)).toEqual(fallbackKeys)
  expect(await counts(bob)).toEqual([{ signed_curve25519: 0 }, []])
  // The same fallback key again is still a used one; a new one is not.
  await bob.post('/keys/upload', { fallback_keys: fallbackKeys })
  expect((await counts(bob))[1]).toEqual([])
  await bob.post('/keys/upload', { fallback_keys: oneTimeKeys(bob, 1, 'g') })
  expect((await counts(bob))[1]).toEqual(['signed_curve25519'])
})

test('a key that was given out is not stored again', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const keys = oneTimeKeys(bob, 3)
  await bob.post('/keys/upload', { one_time_keys: keys })
  const claimed = Object.keys(await claim(alice, bob))
  expect((await bob.post('/keys/upload', { one_time_keys: keys })).one_time_key_counts.signed_curve25519).toBe(2)
  for (let left = 2; left > 0; left--) claimed.push(...Object.keys(await claim(alice, bob)))
  expect(new Set(claimed)).toEqual(new Set(Object.keys(keys)))
  expect(await claim(alice, bob)).toBeUndefined()
})

test('unknown users, devices and algorithms are left out, other servers are failures', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  await alice.post('/keys/upload', { one_time_keys: oneTimeKeys(alice, 1) })
  const wanted = {
    [alice.userId]: { [alice.deviceId]: 'curve25519', OTHER: 'signed_curve25519' },
    '@nobody:a.test': { X: 'signed_curve25519' },
    '@far:elsewhere.test': { X: 'signed_curve25519' },
  }
  const answer = await alice.post('/keys/claim', { one_time_keys: wanted })
  expect(answer.one_time_keys).toEqual({})
  expect(Object.keys(answer.failures)).toEqual(['elsewhere.test'])
  for (const keys of [null, [], { alice: {} }, { [alice.userId]: [] }, { [alice.userId]: { X: 1 } }]) {
    expect((await alice.attempt('post', '/keys/claim', { body: { one_time_keys: keys } })).status).toBe(400)
  }
})

test('two processes with 200 claims for 100 keys give out each key once', async () => {
  await using first = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: first })
  const alice = await first.register('alice')
  const bob = await first.register('bob')
  const keys = oneTimeKeys(bob, 100)
  await bob.post('/keys/upload', { one_time_keys: keys })
  const claimers = [alice, second.adopt(alice)]
  const claims = await Promise.all(Array.from({ length: 200 }, (_, index) => claim(claimers[index % 2]!, bob)))
  const given = claims.filter((one) => one !== undefined).flatMap((one) => Object.keys(one))
  expect(given).toHaveLength(100)
  expect(new Set(given)).toEqual(new Set(Object.keys(keys)))
  expect(await counts(bob)).toEqual([{ signed_curve25519: 0 }, []])
})

test('uploads that cross with claims bring no key back', async () => {
  await using first = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: first })
  const [alice, bob] = [second.adopt(await first.register('alice')), await first.register('bob')]
  const keys = oneTimeKeys(bob, 50)
  await bob.post('/keys/upload', { one_time_keys: keys })
  const uploads = Array.from({ length: 20 }, () => bob.post('/keys/upload', { one_time_keys: keys }))
  const claims = await Promise.all(Array.from({ length: 80 }, () => claim(alice, bob)))
  await Promise.all(uploads)
  for (let last = await claim(alice, bob); last !== undefined; last = await claim(alice, bob)) claims.push(last)
  const given = claims.filter((one) => one !== undefined).flatMap((one) => Object.keys(one))
  expect(given.sort()).toEqual(Object.keys(keys).sort())
})

test('counts cost nothing when nothing changed, and claims elsewhere change them', async () => {
  await using first = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: first })
  const [alice, bob] = [second.adopt(await first.register('alice')), await first.register('bob')]
  await bob.post('/keys/upload', { one_time_keys: oneTimeKeys(bob, 2) })
  const heard = new Promise((resolve) => first.ctx.invalidations.subscribe('device-keys', resolve))
  const [nid] = (await first.ctx.dictionaries.findUsers([bob.userId])).values()
  const device = { userNid: nid!, deviceId: bob.deviceId }
  await first.ctx.deviceKeys.counts(device)
  const before = first.ctx.database.cost.statements
  expect((await first.ctx.deviceKeys.counts(device)).oneTime.signed_curve25519).toBe(2)
  expect(first.ctx.database.cost.statements).toBe(before)
  await claim(alice, bob)
  await heard
  expect((await first.ctx.deviceKeys.counts(device)).oneTime.signed_curve25519).toBe(1)
})

test('claims of many devices at once, while devices are removed, keep nobody waiting', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const devices = await Promise.all(Array.from({ length: 6 }, () => server.logIn('alice')))
  for (const device of devices) {
    const [fallback] = Object.values(oneTimeKeys(device, 1, 'f'))
    await device.post('/keys/upload', {
      device_keys: signedDeviceKeys(device),
      one_time_keys: oneTimeKeys(device, 20),
      fallback_keys: { 'signed_curve25519:f': fallback },
    })
  }
  const claimAll = (index: number) => {
    const ids = devices.map((device) => device.deviceId)
    const order = index % 2 === 0 ? ids : ids.reverse()
    const wanted = Object.fromEntries(order.map((id) => [id, 'signed_curve25519']))
    return alice.post('/keys/claim', { one_time_keys: { [alice.userId]: wanted } })
  }
  const claims = Array.from({ length: 60 }, (_, index) => claimAll(index))
  await Promise.all([...claims, ...devices.slice(0, 3).map((device) => device.post('/logout'))])
  const { one_time_keys: keys } = await claimAll(0)
  expect(Object.keys(keys[alice.userId]).sort()).toEqual(
    devices
      .slice(3)
      .map((device) => device.deviceId)
      .sort(),
  )
})
