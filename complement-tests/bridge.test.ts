import type { MatrixEvent, Room } from 'matrix-js-sdk'
import { ClientEvent } from 'matrix-js-sdk'
import { expect, test } from 'vitest'
import { installBridge, joinIrc } from './bridge.ts'
import { startDeployment } from './deployment.ts'
import { type Device, eventIn, register } from './sdk-device.ts'

/** Joins the next room the user is invited to whose name holds this. */
function invitedTo(device: Device, name: string): Promise<string> {
  const { client } = device
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => done(() => reject(new Error(`No invite to ${name}`))), 30_000)
    const isIt = (room: Room): boolean => room.getMyMembership() === 'invite' && room.name.includes(name)
    const look = (): void => {
      const room = client.getRooms().find(isIt)
      if (room) done(() => client.joinRoom(room.roomId).then(({ roomId }) => resolve(roomId), reject))
    }
    const done = (then: () => void): void => {
      clearTimeout(timer)
      client.off(ClientEvent.Sync, look)
      then()
    }
    client.on(ClientEvent.Sync, look)
    look()
  })
}

/** As a ghost says it, or the bridge itself of somebody whom its list of the channel does not have just then. */
const saidOnIrc =
  (text: string) =>
  (event: MatrixEvent): boolean => {
    const body: unknown = event.getContent().body
    return body === text || body === `Message from bob!bob@localhost: ${text}`
  }

test('a bridge of another hand carries a conversation to IRC and back, also when either process of the server is killed', {
  timeout: 300_000,
}, async () => {
  await using bridge = await installBridge()
  await using deployment = await startDeployment({ CHAPPE_APP_SERVICE_CONFIG_FILES: bridge.registration })
  const { url, processes } = deployment
  const alice = await register(url, 'alice')
  try {
    bridge.start(url, alice.userId)
    const bot = '@heisenbridge:localhost'
    const { room_id: control } = await alice.client.createRoom({ is_direct: true, invite: [bot] } as never)
    const isIn = (event: { getStateKey(): string | undefined; getContent(): { membership?: string } }): boolean =>
      event.getStateKey() === bot && event.getContent().membership === 'join'
    await eventIn(alice, control, isIn)
    const command = (room: string, text: string) => alice.client.sendTextMessage(room, text)
    await command(control, 'ADDNETWORK net')
    await command(control, `ADDSERVER net 127.0.0.1 ${bridge.ircPort}`)
    await command(control, 'OPEN net')
    const network = await invitedTo(alice, 'net')
    using bob = await joinIrc(bridge.ircPort, 'bob', '#chat')
    await command(network, 'CONNECT')
    await eventIn(alice, network, (event) => /Welcome to __main__/.test(event.getContent().body ?? ''))
    await command(network, 'JOIN #chat')
    const channel = await invitedTo(alice, '#chat')
    bob.say('#chat', 'hello from IRC')
    const heard = await eventIn(alice, channel, saidOnIrc('hello from IRC'))
    expect(heard.getSender()).toMatch(/^@(irc_.*bob|heisenbridge):localhost$/)
    await alice.client.sendTextMessage(channel, 'hello from Matrix')
    expect(await bob.line('hello from Matrix')).toMatch(/PRIVMSG #chat/)

    // One of them is the one that tells the bridge.
    const [one, other] = processes
    await deployment.kill(one)
    await alice.client.sendTextMessage(channel, 'still there?')
    await bob.line('still there?')
    bob.say('#chat', 'yes, still')
    await eventIn(alice, channel, saidOnIrc('yes, still'))
    await one.restart()
    await deployment.kill(other)
    await alice.client.sendTextMessage(channel, 'and now?')
    await bob.line('and now?')
    bob.say('#chat', 'yes, now too')
    await eventIn(alice, channel, saidOnIrc('yes, now too'))
  } finally {
    alice.stop()
  }
})
