import { expect, test } from 'vitest'
import { signedDeviceKeys } from '../src/keys/fixtures.ts'
import { pair, via } from './two-servers.fixtures.ts'

test('a change that is on the stream makes what was known of a device list void, before it is deleted', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post('/keys/upload', { device_keys: signedDeviceKeys(bob) })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const devices = async () => {
    const answer = await alice.post('/keys/query', { device_keys: { [bob.userId]: [] } })
    return Object.keys(answer.device_keys[bob.userId] ?? {})
  }
  const { db } = one.ctx.database
  const lists = () => db.selectFrom('remote_device_lists').select('user_nid').execute()
  await expect.poll(async () => ((await devices()).length > 0 ? lists() : []), { timeout: 10_000 }).toHaveLength(1)
  const [known] = await lists()
  await db.updateTable('remote_device_lists').set({ content: '{"devices":{}}' }).execute()
  expect(await devices()).toEqual([])
  const position = one.ctx.stream.position + 1
  await db.insertInto('device_list_changes').values({ position, user_nid: known!.user_nid, reader_nid: null }).execute()
  expect(await devices()).toEqual([bob.deviceId])
})
