import { expect, test } from 'vitest'
import { startAdministered } from '../testing/administration.ts'

const v1 = '/_synapse/admin/v1'
const user = encodeURIComponent('@alice:a.test')

/** What PostgreSQL cannot hold, and what is very long. */
const nasty = ['\0', 'a\0b', '%', '_', "'; drop table users; --", '\\', 'x'.repeat(5000), '\ud83d\ude00']

test('no text that is asked for makes the server fail', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  await server.register('alice')
  const queries: [string, string[]][] = [
    ['/_synapse/admin/v2/users', ['name', 'user_id', 'order_by', 'not_user_type', 'from', 'limit']],
    [`${v1}/rooms`, ['search_term', 'order_by', 'dir']],
    [`${v1}/event_reports`, ['user_id', 'room_id', 'event_sender_user_id']],
    [`${v1}/user_reports`, ['user_id', 'target_user_id']],
    [`${v1}/federation/destinations`, ['destination', 'order_by']],
    [`${v1}/statistics/users/media`, ['search_term', 'order_by']],
    [`${v1}/scheduled_tasks`, ['action_name', 'resource_id', 'job_status']],
    [`${v1}/users/${user}/media`, ['order_by']],
    [`${v1}/username_available`, ['username']],
    ['/_chappe/admin/v1/audit', ['actor', 'target', 'operation', 'since']],
  ]
  for (const [path, names] of queries) {
    for (const name of names) {
      for (const text of nasty) {
        const { status } = await root.attempt('get', path, { query: { [name]: text } })
        expect(status, `${path} ${name} ${JSON.stringify(text.slice(0, 30))}`).toBeLessThan(500)
      }
    }
  }
})

test('no text in a body makes the server fail', async () => {
  const { server, root } = await startAdministered({ config: { server_notices: { localpart: 'notices' } } })
  await using _ = server
  const alice = await server.register('alice')
  const room = encodeURIComponent(await alice.createRoom())
  const bodies: [string, string, (text: string) => object][] = [
    ['put', `/_synapse/admin/v2/users/${user}`, (text) => ({ displayname: text })],
    ['put', `/_synapse/admin/v2/users/${user}`, (text) => ({ avatar_url: text })],
    ['put', `/_synapse/admin/v2/users/${user}`, (text) => ({ user_type: text })],
    ['put', `/_synapse/admin/v2/users/${user}`, (text) => ({ threepids: [{ medium: 'email', address: text }] })],
    [
      'put',
      `/_synapse/admin/v2/users/${user}`,
      (text) => ({ external_ids: [{ auth_provider: text, external_id: text }] }),
    ],
    ['post', `${v1}/registration_tokens/new`, (text) => ({ token: text })],
    ['post', `/_synapse/admin/v2/users/${user}/devices`, (text) => ({ device_id: text })],
    ['post', `/_synapse/admin/v2/users/${user}/delete_devices`, (text) => ({ devices: [text] })],
    ['post', `${v1}/purge_history/${room}`, (text) => ({ purge_up_to_event_id: text })],
    ['post', `${v1}/user/${user}/redact`, (text) => ({ rooms: [text], reason: text })],
    ['post', `${v1}/join/${room}`, (text) => ({ user_id: text })],
    [
      'post',
      `${v1}/send_server_notice`,
      (text) => ({ user_id: alice.userId, content: { msgtype: 'm.text', body: text } }),
    ],
    [
      'post',
      `${v1}/send_server_notice`,
      (text) => ({ user_id: alice.userId, type: text, state_key: text, content: {} }),
    ],
    [
      'delete',
      `/_synapse/admin/v2/rooms/${room}`,
      (text) => ({ new_room_user_id: text, room_name: text, message: text }),
    ],
  ]
  for (const [method, path, bodyOf] of bodies) {
    for (const text of nasty) {
      const { status, body } = await root.attempt(method, path, { body: bodyOf(text) })
      expect(
        status,
        `${method} ${path} ${JSON.stringify(bodyOf(text)).slice(0, 80)} ${JSON.stringify(body)}`,
      ).toBeLessThan(500)
    }
  }
})
