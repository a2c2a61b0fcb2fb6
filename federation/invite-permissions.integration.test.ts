import { expect, test } from 'vitest'
import { invited, pair } from './two-servers.fixtures.ts'

const lists = 'org.matrix.msc4155.invite_permission_config'

test('invites of another server’s users are refused, ignored or shown as the invited user wishes', async () => {
  await using servers = await pair()
  const { alice, bob, one } = servers
  const carol = await one.register('carol')
  const wish = (type: string, content: object) => alice.put(`/user/${alice.userId}/account_data/${type}`, content)
  const invite = async (client: typeof bob) => {
    const room = await client.createRoom({ preset: 'private_chat' })
    return {
      room,
      status: await client.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, {
        body: { user_id: alice.userId },
      }),
    }
  }
  await wish(lists, { blocked_servers: [bob.userId.slice(bob.userId.indexOf(':') + 1)] })
  for (const client of [bob]) {
    const { status } = await invite(client)
    expect(status).toMatchObject({ status: 403, body: { errcode: 'M_INVITE_BLOCKED' } })
  }
  expect((await invite(carol)).status.status).toBe(200)
  await wish(lists, { ignored_users: [bob.userId, carol.userId] })
  expect((await invite(bob)).status.status).toBe(200)
  expect((await invite(carol)).status.status).toBe(200)
  expect((await alice.sync()).rooms?.invite).toBeUndefined()
  await wish('m.invite_permission_config', { default_action: 'block' })
  await wish(lists, {})
  for (const client of [bob, carol]) {
    expect((await invite(client)).status).toMatchObject({ status: 403, body: { errcode: 'M_INVITE_BLOCKED' } })
  }
  await wish('m.invite_permission_config', {})
  const { room, status } = await invite(bob)
  expect(status.status).toBe(200)
  await invited(alice, room)
})
