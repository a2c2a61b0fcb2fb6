import { ClientEvent, createClient, type MatrixClient, RoomEvent } from 'matrix-js-sdk'
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js'
import { expect, test } from 'vitest'
import { startDeployment } from './deployment.ts'
import { postJson, silent } from './sdk-device.ts'

test('a sliding and a classic sync of one account see the same conversation, also when a process is killed', {
  timeout: 120_000,
}, async () => {
  await using deployment = await startDeployment()
  const { url, processes } = deployment
  const session = await postJson(`${url}/_matrix/client/v3/register`, {
    username: 'anna',
    password: 'password of anna, long enough',
    auth: { type: 'm.login.dummy' },
  })
  const other = await postJson(`${url}/_matrix/client/v3/login`, {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: 'anna' },
    password: 'password of anna, long enough',
  })
  const [classic, sliding] = [clientOf(url, session), clientOf(url, other)]
  const { room_id: first } = await classic.createRoom({ name: 'Before' })
  const required: [string, string][] = [
    ['m.room.create', ''],
    ['m.room.name', ''],
    ['m.room.member', '$LAZY'],
    ['m.room.member', '$ME'],
  ]
  const config = { timeline_limit: 20, required_state: required }
  const lists = new Map([['all', { ...config, ranges: [[0, 19]], filters: {} }]])
  const slidingSync = new SlidingSync(url, lists, config, sliding, 10_000)
  await classic.startClient()
  await sliding.startClient({ slidingSync })
  await Promise.all([classic, sliding].map((client) => until(client, () => client.getRoom(first)?.name === 'Before')))

  const { room_id: second } = await classic.createRoom({ name: 'After' })
  await Promise.all([classic, sliding].map((client) => until(client, () => client.getRoom(second)?.name === 'After')))
  await classic.sendTextMessage(second, 'from the classic one')
  await until(sliding, () => bodies(sliding, second).length === 1)
  await sliding.sendTextMessage(second, 'from the sliding one')
  await classic.setRoomName(second, 'Renamed')
  await classic.sendTextMessage(first, 'elsewhere')
  for (const client of [classic, sliding]) {
    await until(client, () => bodies(client, second).length === 2 && bodies(client, first).length === 1)
    await until(client, () => client.getRoom(second)?.name === 'Renamed')
    expect(bodies(client, second)).toEqual(['from the classic one', 'from the sliding one'])
    expect(bodies(client, first)).toEqual(['elsewhere'])
  }
  expect(slidingSync.getListData('all')?.joinedCount).toBe(2)

  // A connection is no process's own.
  await deployment.kill(processes[1])
  await classic.sendTextMessage(first, 'still there?')
  await Promise.all([classic, sliding].map((client) => until(client, () => bodies(client, first).length === 2)))
  sliding.stopClient()
  classic.stopClient()
})

function clientOf(
  baseUrl: string,
  session: { user_id: string; device_id: string; access_token: string },
): MatrixClient {
  const { user_id: userId, device_id: deviceId, access_token: accessToken } = session
  return createClient({ baseUrl, userId, deviceId, accessToken, logger: silent })
}

/** Resolves when something is so, looked at whenever the client hears of something. */
function until(client: MatrixClient, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!isSo()) return
      for (const event of events) client.off(event, look)
      resolve()
    }
    const events = [ClientEvent.Sync, ClientEvent.Room, RoomEvent.Timeline, RoomEvent.Name] as const
    for (const event of events) client.on(event, look)
    look()
  })
}

function bodies(client: MatrixClient, roomId: string): unknown[] {
  const events = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
  const sent = events.filter((event) => event.getType() === 'm.room.message' && !event.isSending())
  return sent.map((event) => event.getContent().body)
}
