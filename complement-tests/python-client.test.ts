import { ClientEvent, type Room } from 'matrix-js-sdk'
import { expect, test } from 'vitest'
import { startDeployment } from './deployment.ts'
import { pythonLibraries, startPythonClient } from './python-client.ts'
import { type Device, eventIn, postJson, register, withBody } from './sdk-device.ts'

type Message = { readonly sender: string; readonly encrypted: boolean }

const password = 'the password of a user of Python'

function invited(device: Device, roomId: string): Promise<void> {
  const { client } = device
  return new Promise((resolve) => {
    const look = (room: Room | null): void => {
      if (room?.roomId !== roomId || room.getMyMembership() !== 'invite') return
      client.off(ClientEvent.Room, look)
      resolve()
    }
    client.on(ClientEvent.Room, look)
    look(client.getRoom(roomId))
  })
}

test.for(pythonLibraries)(
  '$name logs in, is invited, invites, and talks encrypted with matrix-js-sdk over two processes behind one address',
  { timeout: 300_000 },
  async (library) => {
    await using deployment = await startDeployment()
    const { url, processes } = deployment
    const account = { username: 'bob', password, inhibit_login: true, auth: { type: 'm.login.dummy' } }
    await postJson(`${url}/_matrix/client/v3/register`, account)
    await using bob = await startPythonClient(library, { url, user: '@bob:localhost', password })
    const { user_id: bobId } = await bob.ask<{ user_id: string }>('log in')
    expect(bobId).toBe('@bob:localhost')
    const alice = await register(url, 'alice')
    try {
      const encryption = {
        type: 'm.room.encryption',
        state_key: '',
        content: { algorithm: 'm.megolm.v1.aes-sha2' },
      }
      const options = { name: 'Room of Alice', invite: [bobId], initial_state: [encryption] }
      const { room_id: room } = await alice.client.createRoom(options)
      expect(await bob.ask('joined', { room })).toBe('Room of Alice')
      await eventIn(alice, room, (event) => event.getStateKey() === bobId && event.getContent().membership === 'join')
      expect(await bob.ask('members', { room })).toEqual(['@alice:localhost', '@bob:localhost'])

      await alice.client.sendTextMessage(room, 'hello from JavaScript')
      expect(await bob.ask<Message>('hear', { room, body: 'hello from JavaScript' })).toMatchObject({
        sender: alice.userId,
        encrypted: true,
      })
      await bob.ask('send', { room, body: 'hello from Python' })
      const heard = await eventIn(alice, room, withBody('hello from Python'))
      expect([heard.getSender(), heard.isEncrypted()]).toEqual([bobId, true])

      const other = await bob.ask<string>('create', { invite: alice.userId })
      await invited(alice, other)
      await alice.client.joinRoom(other)
      await eventIn(alice, other, (event) => event.getType() === 'm.room.encryption')
      await alice.client.sendTextMessage(other, 'thank you')
      expect(await bob.ask<Message>('hear', { room: other, body: 'thank you' })).toMatchObject({ encrypted: true })

      // Whichever process is gone: the conversation goes on, and so it does when both were.
      await deployment.kill(processes[0])
      await alice.client.sendTextMessage(room, 'is anybody there?')
      await bob.ask('hear', { room, body: 'is anybody there?' })
      await deployment.kill(processes[1])
      await Promise.all(processes.map((program) => program.restart()))
      await alice.client.sendTextMessage(room, 'still there?')
      await bob.ask('hear', { room, body: 'still there?' })

      const uri = await bob.ask<string>('upload', { text: 'a note' })
      expect(await bob.ask('download', { uri })).toBe('a note')
      await bob.ask('log out')
    } finally {
      alice.stop()
    }
  },
)
