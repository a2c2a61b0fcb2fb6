import { expect, test } from 'vitest'
import { asToken, writeRegistration } from '../src/application-services/bridge.fixtures.ts'
import { startRecordingServer } from '../src/testing/recording-server.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'

test('push gateways and application services are told of invites to rooms that this server is not in', async () => {
  await using gateway = await startRecordingServer()
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  const push = { allow_addresses: ['127.0.0.0/8'], allow_insecure_http: true }
  await using one = await startFederatedServer()
  await using other = await startFederatedServer({}, { config: { push, ...registration.config } })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  await bob.post('/pushers/set', {
    kind: 'http',
    app_id: 'app',
    pushkey: 'key',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'de',
    data: { url: `${gateway.url}/_matrix/push/v1/notify` },
  })
  const body = { type: 'm.login.application_service', username: '_ghost_eve', inhibit_login: true }
  const ghost = (await other.request('post', '/_matrix/client/v3/register', { body, token: asToken })).body.user_id
  const room = await alice.createRoom({ preset: 'private_chat' })
  await alice.invite(room, bob.userId)
  await alice.invite(room, ghost)
  expect((await gateway.next()).body.notification).toMatchObject({
    room_id: room,
    type: 'm.room.member',
    membership: 'invite',
    sender: alice.userId,
    user_is_target: true,
    counts: { unread: 1 },
  })
  const told = await service.next()
  expect(told.path).toMatch(/^\/_matrix\/app\/v1\/transactions\//)
  expect(told.body.events).toMatchObject([
    { type: 'm.room.member', room_id: room, state_key: ghost, sender: alice.userId, content: { membership: 'invite' } },
  ])
})
