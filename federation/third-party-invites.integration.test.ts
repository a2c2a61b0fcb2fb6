import { expect, test } from 'vitest'
import type { JsonObject } from '../src/matrix/json.ts'
import { startIdentityServer } from '../src/testing/identity-server.ts'
import { signedRequest } from './federated-server.fixtures.ts'
import { invited, pair, seesMembership } from './two-servers.fixtures.ts'

const address = 'bob@b.example'

test('who proves an address at another server gets the invite, and forged proofs get nothing signed', async () => {
  await using identity = await startIdentityServer()
  await using servers = await pair({}, { config: { mail: { identity_servers: [identity.recording.url] } } })
  const { one, other, alice, bob } = servers
  const room = await alice.createRoom({ name: 'Hall' })
  const body = { medium: 'email', address, id_server: identity.name, id_access_token: 'abc' }
  await alice.post(`/rooms/${encodeURIComponent(room)}/invite`, body)

  const proof = identity.onBind(address, bob.userId) as { invites: { signed: JsonObject }[] }
  const uri = `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(room)}`
  const asked = (over: JsonObject = {}, signed: JsonObject = proof.invites[0]!.signed) => ({
    type: 'm.room.member',
    room_id: room,
    sender: alice.userId,
    state_key: bob.userId,
    content: { membership: 'invite', third_party_invite: { display_name: 'x', signed } },
    ...over,
  })
  const forgeries: JsonObject[] = [
    asked({ type: 'm.room.power_levels' }),
    asked({ content: { membership: 'join' } }),
    asked({ room_id: '!other:x.test' }),
    asked({ state_key: alice.userId }),
    asked({ state_key: '@bob:third.test' }),
    asked({ sender: bob.userId }),
    asked({ sender: '@nobody:x.test' }),
    asked({}, { ...proof.invites[0]!.signed, token: 'other' }),
    asked({}, { ...proof.invites[0]!.signed, sender: '@changed:x.test' }),
    asked({}, { ...proof.invites[0]!.signed, signatures: { 'evil.test': { 'ed25519:1': 'AAAA' } } }),
  ]
  for (const forged of forgeries) {
    const answer = await signedRequest(other, one, 'PUT', uri, { body: forged })
    expect(answer.status, JSON.stringify(forged)).toBeGreaterThanOrEqual(400)
    expect(JSON.stringify(answer.body)).not.toContain('signatures')
  }
  const unknown = `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent('!unknown:x.test')}`
  expect(
    (await signedRequest(other, one, 'PUT', unknown, { body: asked({ room_id: '!unknown:x.test' }) })).status,
  ).toBe(403)

  expect((await other.request('put', '/_matrix/federation/v1/3pid/onbind', { body: proof })).status).toBe(200)
  expect(await invited(bob, room)).toContainEqual(
    expect.objectContaining({ type: 'm.room.name', content: { name: 'Hall' } }),
  )
  await bob.join(room)
  await seesMembership(alice, room, bob.userId, 'join')
})
