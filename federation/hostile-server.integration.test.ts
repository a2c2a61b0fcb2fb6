import { expect, test } from 'vitest'
import type { JsonObject } from '../src/matrix/json.ts'
import { signedRequest, startFederatedServer } from './federated-server.fixtures.ts'

test('requests for others, changed after signing or of another origin are refused', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const uri = '/_matrix/federation/v1/send/t1'
  const body = { pdus: [] }
  expect((await signedRequest(remote, home, 'PUT', uri, { body })).status).toBe(200)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, destination: 'other.test' })).status).toBe(401)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, sent: { pdus: [], edus: [] } })).status).toBe(401)
  expect((await signedRequest(remote, home, 'PUT', uri, { body, origin: home.ctx.domains.default })).status).toBe(401)
})

test('too much in one transaction is refused, and a repeated one is answered alike', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const send = (txnId: string, pdus: number, edus: number) =>
    signedRequest(remote, home, 'PUT', `/_matrix/federation/v1/send/${txnId}`, {
      body: { pdus: new Array(pdus).fill({}), edus: new Array(edus).fill({}) },
    })
  expect((await send('a', 51, 0)).status).toBe(400)
  expect((await send('b', 0, 101)).status).toBe(400)
  expect((await send('c', 50, 100)).status).toBe(200)
  const answers = await Promise.all(Array.from({ length: 5 }, () => send('d', 1, 0)))
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
})

test('events of a room are only shown to servers in it, and unknown ones look the same', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const secret = await alice.createRoom({ preset: 'private_chat' })
  const { event_id: hidden } = await alice.send(secret, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  const open = await alice.createRoom({ preset: 'public_chat' })
  await mallory.post(`/join/${encodeURIComponent(open)}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const unknown = `$${'x'.repeat(43)}`
  const paths = (eventId: string): string[] => [
    `/_matrix/federation/v1/event/${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/state/${encodeURIComponent(open)}?event_id=${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/state_ids/${encodeURIComponent(open)}?event_id=${encodeURIComponent(eventId)}`,
    `/_matrix/federation/v1/event_auth/${encodeURIComponent(open)}/${encodeURIComponent(eventId)}`,
  ]
  for (const [index, path] of paths(hidden).entries()) {
    const one = await signedRequest(remote, home, 'GET', path)
    const other = await signedRequest(remote, home, 'GET', paths(unknown)[index]!)
    expect(one.status).toBe(404)
    expect(one.body).toEqual(other.body)
  }
})

test('an event that its sender’s server has not signed goes nowhere', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await mallory.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(home.ctx.domains.default)}`)
  const { event_id: eventId } = await mallory.send(room, 'm.room.message', { msgtype: 'm.text', body: 'mine' })
  const [stored] = await remote.ctx.events.byIds([eventId], { edges: true })
  const forged = { ...stored!.event.pdu, sender: alice.userId } as unknown as JsonObject
  const answer = await signedRequest(remote, home, 'PUT', '/_matrix/federation/v1/send/f', { body: { pdus: [forged] } })
  expect(answer.status).toBe(200)
  expect(Object.values(answer.body.pdus)).toEqual([{ error: expect.stringContaining('signature') }])
})
