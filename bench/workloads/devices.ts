import { signedDeviceKeys } from '../../src/keys/fixtures.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import type { BenchClient } from '../client.ts'
import { closedLoop, inParallel } from '../load.ts'
import { type Aim, api, type Workload } from './workload.ts'

/** Of about the size that an encrypted key has. */
const content = { algorithm: 'm.olm.v1.curve25519-aes-sha2', sender_key: 'k'.repeat(43), ciphertext: 'c'.repeat(700) }

let sent = 0

function sendToDevice(sender: BenchClient, receivers: readonly BenchClient[]): Promise<unknown> {
  const messages = Object.fromEntries(receivers.map(({ userId, deviceId }) => [userId, { [deviceId]: content }]))
  return sender.put(`${api}/sendToDevice/m.room.encrypted/d${sent++}`, { messages })
}

const toDevice: Workload = {
  name: 'to-device',
  title: () => 'a message to one device, 16 senders',
  each: 'message',
  aims: [{ figure: 'rate', times: 30 }],
  async run(bench) {
    const users = await bench.users('t', 16)
    const workers = users.map((user, index) => () => sendToDevice(user, [users[(index + 1) % 16]!]))
    await closedLoop(1, workers)
    return bench.measure(() => closedLoop(bench.seconds / 2, workers))
  },
}

const toManyDevices: Workload = {
  name: 'to-device-500',
  title: ({ scaled }) => `a message to ${scaled(500, 100)} devices`,
  each: 'request',
  async run(bench) {
    const [sender, ...receivers] = await bench.users('t', bench.scaled(500, 100) + 1)
    const job = () => sendToDevice(sender!, receivers)
    await closedLoop(bench.seconds / 4, [job])
    return bench.measure(() => closedLoop(bench.seconds / 2, [job]))
  },
}

function keysQuery(count: number, aims: readonly Aim[]): Workload {
  return {
    name: `keys-query-${count}`,
    title: ({ scaled }) => `keys of the devices of ${scaled(count, 50)} users, 4 at a time`,
    each: 'request',
    aims,
    async run(bench) {
      const users = await bench.users('k', bench.scaled(count, 50))
      await inParallel(
        8,
        users.map((user) => () => {
          const device = { userId: user.userId as UserId, deviceId: user.deviceId }
          return user.post(`${api}/keys/upload`, { device_keys: signedDeviceKeys(device) })
        }),
      )
      const wanted = { device_keys: Object.fromEntries(users.map(({ userId }) => [userId, []])) }
      const workers = users.slice(0, 4).map((user) => () => user.post(`${api}/keys/query`, wanted))
      await closedLoop(1, workers)
      return bench.measure(() => closedLoop(bench.seconds / 2, workers))
    },
  }
}

export const devices: readonly Workload[] = [
  toDevice,
  toManyDevices,
  keysQuery(50, [{ figure: 'rate', times: 8 }]),
  keysQuery(500, []),
]
