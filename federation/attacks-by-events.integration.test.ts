import { expect, test } from 'vitest'
import { canonicalJson } from '../src/matrix/canonical-json.ts'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signingKeyFromSeed } from '../src/matrix/signatures.ts'
import { parseJson } from '../src/matrix/strict-json.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { attackedRoom, type HostileRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

type Scene = Awaited<ReturnType<typeof attackedRoom>>

/** That an event is refused with an error, is seen by nobody here, and is not passed on. */
async function isRefused(scene: Scene, event: RoomEvent, of: HostileRoom = scene.room): Promise<void> {
  const answer = await scene.hostile.send(scene.home, [event.pdu])
  expect(answer[event.eventId], JSON.stringify(event.pdu)).toEqual({ error: expect.any(String) })
  await isNowhere(scene, event, of)
}

/** That an event that may not even have an id is dropped. */
async function isDropped(scene: Scene, event: RoomEvent): Promise<void> {
  const answer = await scene.hostile.send(scene.home, [event.pdu])
  expect(answer[event.eventId], JSON.stringify(event.pdu)).not.toEqual({})
  await isNowhere(scene, event)
}

async function isNowhere(scene: Scene, event: RoomEvent, of: HostileRoom = scene.room): Promise<void> {
  expect(await scene.isSeen(event.eventId, scene.alice, of.roomId), JSON.stringify(event.pdu)).toBe(false)
  expect(await scene.honest.ctx.events.byIds([event.eventId])).toEqual([])
}

test('F13: events of a third server’s user, signed by who sends them alone', async () => {
  await using scene = await attackedRoom()
  await using third = await startHostileServer()
  third.key = signingKeyFromSeed('third', Buffer.alloc(32, 9))
  const { room, home, roomId } = scene
  const other = await joinHostile(third, home, roomId, 'eve')
  room.take([other.at('m.room.member', other.user('eve'))])
  await isRefused(scene, room.build({ sender: other.user('eve') }))
  await scene.stillWorks()
})

test('F16, F17: events that cite what they must not', async () => {
  await using scene = await attackedRoom()
  const { room } = scene
  const { room: elsewhere } = await scene.open()
  const own = room.at('m.room.member', room.user())
  const levels = room.at('m.room.power_levels')
  await isRefused(scene, room.build({ auth: [own, elsewhere.at('m.room.power_levels')] }))
  const forged = room.build({ type: 'm.room.power_levels', stateKey: '', content: { users: { [room.user()]: 100 } } })
  await isRefused(scene, forged)
  // On what was rejected nothing can stand, and nothing is cited twice or without need.
  await isRefused(scene, room.build({ auth: [own, forged] }))
  await isRefused(scene, room.build({ auth: [own, levels, levels] }))
  await isRefused(scene, room.build({ auth: [own, levels, room.at('m.room.history_visibility')] }))
  await isRefused(scene, room.build({ auth: [own, levels, room.at('m.room.create')] }))
  await isRefused(scene, room.build({ auth: [levels] }))
  await room.push(scene.home, room.build({ content: { msgtype: 'm.text', body: 'good' } }))
  await sees(scene.bob, scene.roomId, 'good')
  await scene.stillWorks()
})

test('F17: events of older rooms that do not cite the create event', async () => {
  await using scene = await attackedRoom({ room_version: '11' })
  const { room } = scene
  await isRefused(scene, room.build({ auth: [room.at('m.room.member', room.user()), room.at('m.room.power_levels')] }))
  await scene.stillWorks()
})

test('F19: messages and state without the power for them', async () => {
  await using scene = await attackedRoom({ power_level_content_override: { events_default: 50 } })
  await isRefused(scene, scene.room.build())
  await isRefused(scene, scene.room.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }))
  await scene.stillWorks()
})

test('F20: power levels that are none, or beyond what the sender has', async () => {
  for (const version of ['10', '12']) {
    await using scene = await attackedRoom({ room_version: version })
    const { room, alice, roomId } = scene
    const before = await alice.getState(roomId, 'm.room.power_levels')
    await alice.sendState(roomId, 'm.room.power_levels', {
      ...before,
      users: { ...before.users, [room.user()]: 50 },
      events: { ...before.events, 'm.room.power_levels': 50 },
    })
    await expect.poll(() => scene.hostile.heard.some(({ type }) => type === 'm.room.power_levels')).toBe(true)
    const given = room.eventOf(scene.hostile.heard.find(({ type }) => type === 'm.room.power_levels')!)
    room.take([given])
    room.ends = [given]
    const { users } = given.pdu.content as { users: JsonObject }
    const levels = (over: object) =>
      room.build({ type: 'm.room.power_levels', stateKey: '', over: { content: { ...given.pdu.content, ...over } } })
    for (const level of ['50', 1.5, true, 2 ** 53, null, {}, []]) {
      await isDropped(scene, levels({ users: { ...users, [room.user('x')]: level } }))
      await isDropped(scene, levels({ users_default: level }))
    }
    await isRefused(scene, levels({ users: { ...users, [room.user()]: 100 } }))
    await isRefused(scene, levels({ users: { ...users, [room.user('x')]: 51 } }))
    await isRefused(scene, levels({ ban: 51 }))
    await isRefused(scene, levels({ users: [] }))
    await isRefused(scene, levels({ users: { 'no user': 1 } }))
    await scene.stillWorks()
  }
})

test('F22: events of a banned user that follow what was before the ban', async () => {
  await using scene = await attackedRoom()
  const { room, home, alice, bob, roomId } = scene
  await room.push(home, room.build({ content: { msgtype: 'm.text', body: 'before' } }))
  await sees(bob, roomId, 'before')
  await alice.membership(roomId, 'ban', { user_id: room.user() })
  const late = room.build({ content: { msgtype: 'm.text', body: 'late' } })
  expect(await scene.hostile.send(home, [late.pdu])).toEqual({ [late.eventId]: {} })
  expect(await scene.isSeen(late.eventId)).toBe(false)
  expect(await scene.isSeen(late.eventId, bob)).toBe(false)
  await scene.stillWorks()
})

test('F23: depths that are none', async () => {
  for (const version of ['5', '12']) {
    await using scene = await attackedRoom({ room_version: version })
    const { room } = scene
    for (const depth of [2 ** 53, 2 ** 63, -1, 1.5, '7', true, null, undefined, [], {}]) {
      const event = room.build({ over: { depth } })
      await isDropped(scene, event)
    }
    const last = room.build({ over: { depth: Number.MAX_SAFE_INTEGER }, content: { msgtype: 'm.text', body: 'deep' } })
    await room.push(scene.home, last)
    await sees(scene.bob, scene.roomId, 'deep')
    await scene.stillWorks()
    await sees(scene.carol, scene.roomId, 'deep')
  }
})

test('F26: more edges than an event may have', async () => {
  await using scene = await attackedRoom()
  const { room, roomId } = scene
  const unknown = (count: number) => Array.from({ length: count }, (_, index) => `$${String(index).padStart(43, 'x')}`)
  for (const over of [
    { prev_events: unknown(21) },
    { auth_events: unknown(11) },
    { prev_events: unknown(1_000), auth_events: unknown(400) },
    { prev_events: unknown(10_000), auth_events: unknown(10_000) },
    { prev_events: [] },
    { prev_events: [[unknown(1)[0], {}]] },
    { prev_events: {}, auth_events: 'x' },
  ]) {
    await isDropped(scene, room.build({ over }))
  }
  await scene.stillWorks(roomId)
})

test('F29: what a room of version 12 must not be', async () => {
  await using scene = await attackedRoom({ room_version: '12' })
  const { room, home } = scene
  const create = room.at('m.room.create')
  for (const over of [
    { type: 'm.room.create', state_key: '', content: create.pdu.content },
    { type: 'm.room.create', state_key: '', content: create.pdu.content, prev_events: [], auth_events: [], depth: 1 },
    { type: 'm.room.create', state_key: '', content: {}, prev_events: [], auth_events: [], room_id: undefined },
    { room_id: `!${'x'.repeat(43)}` },
    { room_id: `!room:${scene.hostile.name}` },
    { room_id: `!room:${home.ctx.domains.default}` },
    { room_id: undefined },
  ]) {
    await isDropped(scene, room.build({ over }))
  }
  // The creators have endless power: nobody may list them, also with the power to set levels.
  const before = await scene.alice.getState(scene.roomId, 'm.room.power_levels')
  const listed = await scene.alice.attempt(
    'put',
    `/rooms/${encodeURIComponent(scene.roomId)}/state/m.room.power_levels`,
    {
      body: { ...before, users: { ...before.users, [scene.alice.userId]: 100 } },
    },
  )
  expect(listed.status).toBeGreaterThanOrEqual(400)
  expect(listed.status).toBeLessThan(500)
  await isRefused(
    scene,
    room.build({
      type: 'm.room.power_levels',
      stateKey: '',
      content: { ...room.at('m.room.power_levels').pdu.content, users: { [create.pdu.sender]: 100 } },
    }),
  )
  // Who joins second is no creator.
  const other = room.user('other')
  await isRefused(
    scene,
    room.build({
      type: 'm.room.member',
      sender: other,
      stateKey: other,
      content: { membership: 'join' },
      prev: [create],
      auth: [],
    }),
  )
  await scene.stillWorks()
})

test('F56: JSON that servers read differently from one another', async () => {
  for (const version of ['5', '12']) {
    await using scene = await attackedRoom({ room_version: version })
    const { room, home, hostile } = scene
    const event = room.build({ content: { msgtype: 'm.text', body: 'marked', value: 'MARK', other: 1 } })
    const body = { origin: hostile.name, origin_server_ts: 1, pdus: [event.pdu], edus: [] }
    const text = JSON.stringify(body)
    for (const [index, sent] of [
      ...['NaN', 'Infinity', '-Infinity', '1e400', '-0', '"\\ud800"', '01', '+1'].map((value) =>
        text.replace('"MARK"', value),
      ),
      text.replace('"other"', '"value"'),
      `\ufeff${text}`,
    ].entries()) {
      const uri = `/_matrix/federation/v1/send/odd${index}`
      const { status, body: answer } = await hostile.request(home, 'PUT', uri, { body, sent })
      expect([200, 400, 401], sent).toContain(status)
      if (status === 200) expect(answer.pdus[event.eventId], sent).not.toEqual({})
    }
    await isNowhere(scene, event)
    for (const over of [
      { content: { msgtype: 'm.text', body: 'a\0b' } },
      { type: 'a\0b' },
      { state_key: 'a\0b', type: 'x' },
      { content: { 'a\0': 1 } },
      { sender: `@a\0:${hostile.name}` },
    ]) {
      await hostile.send(home, [room.build({ over }).pdu])
    }
    await scene.stillWorks()
  }
})

test('numbers of old room versions come to other servers as they were written', async () => {
  await using scene = await attackedRoom({ room_version: '5' })
  const { room, home, hostile, roomId } = scene
  const numbers = '{"body":"odd","big":9007199254740993,"e":1e3,"list":[2.50],"msgtype":"m.text","one":1.0}'
  const { pdu: plain } = room.build({ content: {} })
  const content = parseJson(numbers, { integers: 'any' }) as JsonObject
  const event = hostile.stamp({ ...plain, content } as unknown as JsonObject, room.rules)
  const pdu = canonicalJson(event.pdu as unknown as JsonObject)
  const sent = `{"edus":[],"origin":"${hostile.name}","origin_server_ts":1,"pdus":[${pdu}]}`
  const body = parseJson(sent, { integers: 'any' })
  const { body: answer } = await hostile.request(home, 'PUT', '/_matrix/federation/v1/send/numbers', { body, sent })
  expect(answer.pdus).toEqual({ [event.eventId]: {} })
  // The honest server asks ours for what comes before this one, and finds its hash to be right.
  home.ctx.hotRooms.drop((await home.ctx.hotRooms.get(roomId))!)
  await scene.alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'after it' })
  await sees(scene.carol, roomId, 'after it')
  const { chunk } = await scene.carol.get(`/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=5`)
  expect(chunk.find((one: Answer) => one.event_id === event.eventId).content).toMatchObject({ body: 'odd', one: 1 })
})

test('F52: three hundred rejected events in a row, then good ones', async () => {
  await using scene = await attackedRoom()
  const { room, home, hostile, bob, roomId } = scene
  await scene.alice.send(roomId, 'm.room.message', { msgtype: 'm.text', body: 'first' })
  await expect.poll(() => hostile.heard.some(({ content }) => content.body === 'first')).toBe(true)
  room.ends = [room.eventOf(hostile.heard.find(({ content }) => content.body === 'first')!)]
  for (let round = 0; round < 6; round++) {
    const bad: RoomEvent[] = []
    for (let index = 0; index < 50; index++) {
      bad.push(room.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'x' } }))
      room.ends = [bad.at(-1)!]
    }
    await hostile.send(
      home,
      bad.map(({ pdu }) => pdu),
    )
  }
  await scene.stillWorks()
  const bodies: string[] = []
  for (let from: string | undefined; ; ) {
    const page = await bob.get(`/rooms/${encodeURIComponent(roomId)}/messages`, { dir: 'b', limit: 5, from })
    bodies.push(...page.chunk.map(({ content }: { content: JsonObject }) => content.body as string))
    from = page.end
    if (from === undefined) break
  }
  expect(bodies).toContain('first')
})

test('F58: joins vouched for by nobody who may', async () => {
  await using scene = await attackedRoom({ room_version: '10' })
  const { alice, home, hostile, room } = scene
  const restricted = await alice.createRoom({
    room_version: '10',
    preset: 'private_chat',
    power_level_content_override: { invite: 50 },
    initial_state: [
      {
        type: 'm.room.join_rules',
        state_key: '',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: scene.roomId }] },
      },
    ],
  })
  const inside = await joinHostile(hostile, home, restricted)
  const other = room.user('other')
  const joinBy = (via: string) =>
    inside.build({
      type: 'm.room.member',
      sender: other,
      stateKey: other,
      content: { membership: 'join', join_authorised_via_users_server: via },
    })
  for (const via of [alice.userId, room.user(), '@nobody:third.test', 'x']) {
    const join = joinBy(via)
    const answer = await hostile.send(home, [join.pdu])
    expect(answer[join.eventId], via).toEqual({ error: expect.any(String) })
    const uri = `/_matrix/federation/v2/send_join/${encodeURIComponent(restricted)}/${encodeURIComponent(join.eventId)}`
    expect((await hostile.request(home, 'PUT', uri, { body: join.pdu })).status, via).toBe(403)
  }
  const { joined } = await alice.get(`/rooms/${encodeURIComponent(restricted)}/joined_members`)
  expect(Object.keys(joined)).not.toContain(other)
  await scene.stillWorks()
})

test('events with members that they need not have reach the honest server as they came', async () => {
  for (const version of ['6', '12']) {
    await using scene = await attackedRoom({ room_version: version })
    const { room, home, carol, roomId } = scene
    for (const name of ['event_id', 'origin', 'membership', 'prev_state', 'redacts', 'age', 'constructor']) {
      const content = { msgtype: 'm.text', body: name }
      await room.push(home, room.build({ content, over: { [name]: '$more' } }))
      await scene.stillWorks()
      await sees(carol, roomId, name)
    }
  }
})
