import { expect, test } from 'vitest'
import type { Pdu, RoomEvent } from '../../src/matrix/event.ts'
import type { Answer, TestClient } from '../../src/testing/test-client.ts'
import { type HostedRoom, hostRoom } from '../attacked-room.fixtures.ts'
import { startFederatedServer } from '../federated-server.fixtures.ts'
import { startHostileServer } from '../hostile-server.fixtures.ts'

const enc = encodeURIComponent
const filter = JSON.stringify({ room: { state: { lazy_load_members: true }, timeline: { limit: 50 } } })
/** A sliding sync that loads members lazily. */
function slide(client: TestClient, pos?: string, filters: object = {}): Promise<Answer> {
  const required = [
    ['*', '*'],
    ['m.room.member', '$LAZY'],
  ]
  const list = { ranges: [[0, 9]], timeline_limit: 20, required_state: required, filters }
  return client.request('post', '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {
    body: { lists: { all: list } },
    query: { timeout: 0, ...(pos !== undefined && { pos }) },
  })
}

const say = (body: string) => ({ content: { msgtype: 'm.text', body } })

/** A room of another server that our user has joined without its members, which are told when the test lets them: as `told` says. */
async function joinedWithoutMembers(prepare: (room: HostedRoom) => void, told: (pdu: Pdu) => unknown = (pdu) => pdu) {
  const home = await startFederatedServer()
  const hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  prepare(room)
  room.add(say('before'))
  const atJoin = [...room.state.values()]
  const members = Promise.withResolvers<void>()
  room.changes.send_join = (answer) => ({
    ...answer,
    state: answer.state.filter(({ type }: Answer) => type !== 'm.room.member'),
    auth_chain: room.events.filter(({ pdu }) => !pdu.sender.startsWith('@member')).map(({ pdu }) => pdu),
    members_omitted: true,
    servers_in_room: [hostile.name],
  })
  hostile.answer = async (asked) => {
    const joining = room.answerTo(asked)
    if (joining) return joining
    if (asked.path.includes('/state_ids/')) {
      await members.promise
      const ids = atJoin.map(({ eventId }) => eventId)
      return { body: { pdu_ids: ids, auth_chain_ids: room.events.map(({ eventId }) => eventId) } }
    }
    if (asked.path.includes('/state/')) {
      const pdus = atJoin.map(({ pdu }) => told(pdu))
      return { body: { pdus, auth_chain: [5, null, 'text', {}, ...room.events.map(({ pdu }) => pdu)] } }
    }
    const single = room.events.find(({ eventId }) => asked.path.endsWith(`/event/${enc(eventId)}`))
    if (single) return { body: { pdus: [single.pdu], origin: hostile.name, origin_server_ts: 1 } }
    if (asked.path.includes('/event_auth/')) return { body: { auth_chain: room.events.map(({ pdu }) => pdu) } }
    return undefined
  }
  await alice.post(`/join/${enc(room.roomId)}?via=${enc(hostile.name)}`)
  expect((await home.ctx.hotRooms.get(room.roomId))!.partialState).toBe(true)
  return {
    home,
    hostile,
    alice,
    room,
    async send(...events: RoomEvent[]): Promise<Answer> {
      return hostile.send(
        home,
        events.map(({ pdu }) => pdu),
      )
    },
    async complete(): Promise<void> {
      members.resolve()
      // Waits for them.
      await alice.get(`/rooms/${enc(room.roomId)}/members`)
    },
    async [Symbol.asyncDispose]() {
      members.resolve()
      await home[Symbol.asyncDispose]()
      await hostile[Symbol.asyncDispose]()
    },
  }
}

/** Elsie is in the room, and so was Derek, who may put people out: a kick that cites his old join. */
async function withImpostor() {
  let joined: RoomEvent | undefined
  const scene = await joinedWithoutMembers((room) => {
    const [derek, elsie] = [room.user('derek'), room.user('elsie')]
    const levels = { users: { [room.user()]: 100, [derek]: 100, [elsie]: 50 } }
    room.add({ type: 'm.room.power_levels', stateKey: '', content: levels })
    joined = room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'join' } })
    room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'leave' } })
    room.add({ type: 'm.room.member', stateKey: elsie, sender: elsie, content: { membership: 'join' } })
  })
  const { room } = scene
  const elsie = room.user('elsie')
  const own = room.at('m.room.member', elsie)
  const base = [room.at('m.room.create'), room.at('m.room.power_levels')]
  const sender = room.user('derek')
  const kick = { type: 'm.room.member', stateKey: elsie, sender, content: { membership: 'leave' } }
  return { ...scene, elsie, own, base, joined: joined!, kick }
}

async function isShown(client: TestClient, { roomId }: HostedRoom, { eventId }: RoomEvent): Promise<boolean> {
  const single = await client.attempt('get', `/rooms/${enc(roomId)}/event/${enc(eventId)}`)
  const { chunk }: Answer = await client.get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 50 })
  expect(chunk.some((event: Answer) => event.event_id === eventId)).toBe(single.status === 200)
  return single.status === 200
}

test('what the room would not have allowed is no part of it any more once its members are known', async () => {
  let joined: RoomEvent | undefined
  await using scene = await joinedWithoutMembers((room) => {
    const derek = room.user('derek')
    const levels = { users: { [room.user()]: 100, [derek]: 50 } }
    room.add({ type: 'm.room.power_levels', stateKey: '', content: levels })
    joined = room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'join' } })
    room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'leave' } })
  })
  const { alice, room, home } = scene
  const derek = room.user('derek')
  const auth = [room.at('m.room.create'), room.at('m.room.power_levels'), joined!]
  const topic = room.build({ type: 'm.room.topic', stateKey: '', sender: derek, content: { topic: 'No' }, auth })
  const after = room.build({ ...say('after'), prev: [topic] })
  expect(await scene.send(topic, after)).toEqual({ [topic.eventId]: {}, [after.eventId]: {} })
  expect(await isShown(alice, room, topic)).toBe(true)
  expect((await alice.get(`/rooms/${enc(room.roomId)}/state/m.room.topic/`)).topic).toBe('No')
  const { next_batch: since } = await alice.sync({ filter })
  const early = await slide(alice)
  expect(JSON.stringify(early.rooms[room.roomId])).toContain('m.room.topic')

  await scene.complete()
  expect(await isShown(alice, room, topic)).toBe(false)
  expect(await isShown(alice, room, after)).toBe(true)
  expect((await alice.attempt('get', `/rooms/${enc(room.roomId)}/state/m.room.topic/`)).status).toBe(404)
  // Whoever was told of it is told of the room anew.
  const told: Answer = (await alice.sync({ filter, since })).rooms.join[room.roomId]
  expect(told.timeline).toMatchObject({ limited: true })
  expect(JSON.stringify(told)).toContain('after')
  expect(JSON.stringify(told)).not.toContain('m.room.topic')
  const slid = await slide(alice, early.pos)
  expect(slid.rooms[room.roomId]).toMatchObject({ initial: true })
  expect(JSON.stringify(slid.rooms[room.roomId])).toContain('after')
  expect(JSON.stringify(slid.rooms[room.roomId])).not.toContain('m.room.topic')
  expect((await slide(alice, slid.pos)).rooms).toEqual({})
  // The room goes on.
  const next = room.build({ ...say('next'), prev: [after] })
  await scene.send(next)
  expect(await isShown(alice, room, next)).toBe(true)
  await alice.send(room.roomId, 'm.room.message', { msgtype: 'm.text', body: 'own' })
  expect((await home.ctx.hotRooms.get(room.roomId))!.joinedMembers).toBe(2)
})

test('what was refused for such an event is part of the room then', async () => {
  await using scene = await withImpostor()
  const { alice, room, elsie, own, base, joined } = scene
  const kick = room.build({ ...scene.kick, auth: [...base, joined, own] })
  const name = { type: 'm.room.name', stateKey: '', sender: elsie, content: { name: 'Hers' } }
  const refused = room.build({ ...name, prev: [kick], auth: [...base, own] })
  const after = room.build({ ...say('after'), prev: [refused] })
  await scene.send(kick, refused, after)
  expect(await isShown(alice, room, kick)).toBe(true)
  expect(await isShown(alice, room, refused)).toBe(false)
  expect(await isShown(alice, room, after)).toBe(true)
  const early = await slide(alice, undefined, { room_name_like: 'hers' })
  expect(early.lists.all.count).toBe(0)

  await scene.complete()
  expect(await isShown(alice, room, kick)).toBe(false)
  expect(await isShown(alice, room, refused)).toBe(true)
  // What the room is called now is in memory too.
  const slid = await slide(alice, early.pos, { room_name_like: 'hers' })
  expect(slid.rooms[room.roomId]).toMatchObject({ initial: true, name: 'Hers' })
  expect((await alice.get(`/rooms/${enc(room.roomId)}/state/m.room.name/`)).name).toBe('Hers')
  const { joined: members } = await alice.get(`/rooms/${enc(room.roomId)}/joined_members`)
  expect(Object.keys(members).sort()).toEqual([alice.userId, elsie, room.user()].sort())
})

test('who was put out by somebody who had no right to is heard all along', async () => {
  await using scene = await withImpostor()
  const { alice, room, elsie, own, base, joined } = scene
  // The join is not among what it cites: as the room is resolved it may come after this.
  const kick = room.build({ ...scene.kick, auth: [...base, joined] })
  // Whoever knows better does not build on it; or does, and does not mind.
  const beside = room.build({ ...say('here'), sender: elsie, auth: [...base, own] })
  const upon = room.build({ ...say('still here'), sender: elsie, prev: [kick], auth: [...base, own] })
  for (const event of [kick, beside, upon]) {
    await scene.send(event)
    expect(await isShown(alice, room, event)).toBe(true)
  }
  await scene.complete()
  expect(await isShown(alice, room, kick)).toBe(false)
  for (const event of [beside, upon]) expect(await isShown(alice, room, event)).toBe(true)
})

test('who was banned is not heard, whatever is cited', async () => {
  await using scene = await joinedWithoutMembers((room) => {
    const elsie = room.user('elsie')
    room.add({ type: 'm.room.member', stateKey: elsie, sender: elsie, content: { membership: 'join' } })
  })
  const { alice, room } = scene
  const elsie = room.user('elsie')
  const own = room.at('m.room.member', elsie)
  const ban = room.build({ type: 'm.room.member', stateKey: elsie, content: { membership: 'ban' } })
  const auth = [room.at('m.room.create'), room.at('m.room.power_levels'), own]
  const upon = room.build({ ...say('still here'), sender: elsie, prev: [ban], auth })
  await scene.send(ban, upon)
  expect(await isShown(alice, room, ban)).toBe(true)
  expect(await isShown(alice, room, upon)).toBe(false)
  await scene.complete()
  expect(await isShown(alice, room, upon)).toBe(false)
})

test('whose devices changed before they were known as a member is told once they are', async () => {
  await using scene = await joinedWithoutMembers((room) => {
    const derek = room.user('derek')
    room.add({ type: 'm.room.member', stateKey: derek, sender: derek, content: { membership: 'join' } })
  })
  const { alice, hostile, home, room } = scene
  const [derek, stranger] = [room.user('derek'), room.user('stranger')]
  const { next_batch: since } = await alice.sync({ filter })
  const updates = [derek, stranger].map((userId) => ({
    edu_type: 'm.device_list_update',
    content: { user_id: userId, device_id: 'ONE', stream_id: 1 },
  }))
  const uri = '/_matrix/federation/v1/send/devices'
  const body = { origin: hostile.name, origin_server_ts: Date.now(), pdus: [], edus: updates }
  expect((await hostile.request(home, 'PUT', uri, { body })).status).toBe(200)
  expect((await alice.sync({ filter, since })).device_lists?.changed ?? []).not.toContain(derek)
  await scene.complete()
  const { changed } = (await alice.sync({ filter, since })).device_lists
  expect(changed).toContain(derek)
  expect(changed).not.toContain(stranger)
})

test('of many members those are believed that their server has signed, as it signed them', async () => {
  const member = (room: HostedRoom, number: number) => room.user(`member${number}`)
  await using scene = await joinedWithoutMembers(
    (room) => {
      for (let number = 0; number < 120; number++) {
        const [sender, content] = [member(room, number), { membership: 'join', displayname: `Name ${number}` }]
        room.add({ type: 'm.room.member', stateKey: sender, sender, content })
      }
    },
    (pdu) => {
      const [server] = Object.keys(pdu.signatures) as [string]
      const [keyId, signature] = Object.entries(pdu.signatures[server]!)[0]!
      const forged = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
      if (pdu.sender.startsWith('@member10:')) return { ...pdu, signatures: { [server]: { [keyId]: forged } } }
      if (pdu.sender.startsWith('@member11:')) return { ...pdu, content: { membership: 'join', displayname: 'Forged' } }
      if (pdu.sender.startsWith('@member12:')) return { ...pdu, room_id: `!other:${server}` }
      return pdu
    },
  )
  const { alice, room, home } = scene
  await scene.complete()
  const { joined } = await alice.get(`/rooms/${enc(room.roomId)}/joined_members`)
  const believed = Array.from({ length: 120 }, (_, number) => number).filter((number) => number !== 10 && number !== 12)
  const expected = [alice.userId, room.user(), ...believed.map((number) => member(room, number))]
  expect(Object.keys(joined).sort()).toEqual(expected.sort())
  expect(joined[member(room, 11)]).not.toHaveProperty('display_name', 'Forged')
  expect(joined[member(room, 13)].display_name).toBe('Name 13')
  expect((await home.ctx.hotRooms.get(room.roomId))!.joinedMembers).toBe(expected.length)
})
