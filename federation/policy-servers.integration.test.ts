import { expect, test } from 'vitest'
import { encodeBase64 } from '../src/matrix/base64.ts'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { UserId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { POLICY_SERVER_KEY_ID, signEvent, signingKeyFromSeed, verifyEvent } from '../src/matrix/signatures.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { attackedRoom, hostRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { startPolicyServer } from './policy-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const forbidden = { errcode: 'M_FORBIDDEN', error: 'That looks like spam', harms: ['org.example.spam'] }
const text = (body: string) => ({ msgtype: 'm.text', body })
const isSpam = (pdu: Answer) => String(pdu.content.body).includes('spam')

/** A room whose events a policy server has to recommend, which is itself in it. */
async function guardedRoom(options: object = {}) {
  const scene = await attackedRoom(options)
  const policy = await startPolicyServer(scene.room.rules)
  const { alice, home, roomId, room } = scene
  const inside = await joinHostile(policy.server, home, roomId, 'guard')
  room.ends = inside.ends
  room.take([inside.at('m.room.member', inside.user('guard'))])
  await alice.sendState(roomId, 'm.room.policy', policy.content)
  policy.refuse = (pdu) => (isSpam(pdu) ? { status: 400, body: forbidden } : undefined)
  return {
    ...scene,
    policy,
    inside,
    /** An event that the policy server is asked about is decided on after its server was answered. */
    decided: (event: RoomEvent) =>
      expect.poll(async () => (await home.ctx.events.byIds([event.eventId])).length).toBe(1),
    async [Symbol.asyncDispose]() {
      await scene[Symbol.asyncDispose]()
      await policy[Symbol.asyncDispose]()
    },
  }
}

type Scene = Awaited<ReturnType<typeof guardedRoom>>

const send = (scene: Scene, body: string, txnId = body) =>
  scene.alice.attempt('put', `/rooms/${enc(scene.roomId)}/send/m.room.message/${enc(txnId)}`, { body: text(body) })

test('what users send is signed by the policy server first, and told to nobody when it refuses', async () => {
  for (const version of ['2', '12']) {
    await using scene = await guardedRoom({ room_version: version })
    const { alice, bob, carol, policy, roomId } = scene
    expect(policy.judged).toEqual([])
    const { status, body: sent } = await send(scene, 'hello')
    expect(status, JSON.stringify(sent)).toBe(200)
    await sees(bob, roomId, 'hello')
    await sees(carol, roomId, 'hello')
    expect(policy.judged.map((pdu) => pdu.content.body)).toEqual(['hello'])
    const [told] = await scene.honest.ctx.events.byIds([sent.event_id])
    expect(told?.event.pdu.signatures[policy.server.name]).toEqual(policy.sign(policy.judged[0])[policy.server.name])
    // A repeated transaction gets its answer without anybody being asked.
    expect((await send(scene, 'hello')).body).toEqual(sent)
    expect(policy.judged).toHaveLength(1)
    const refused = await send(scene, 'spam')
    expect([refused.status, refused.body]).toEqual([400, forbidden])
    const messages = await alice.get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 50 })
    expect(JSON.stringify(messages)).not.toContain('spam')
    // State, redactions and memberships as well; only what is no news asks nobody.
    const before = policy.judged.length
    await alice.sendState(roomId, 'm.room.topic', { topic: 'one' })
    await alice.sendState(roomId, 'm.room.topic', { topic: 'one' })
    await alice.sendState(roomId, 'm.room.policy', { via: 'x' }, 'other')
    await alice.put(`/rooms/${enc(roomId)}/redact/${enc(sent.event_id)}/r1`, { body: {} })
    await bob.post(`/rooms/${enc(roomId)}/leave`, {})
    expect(policy.judged.slice(before).map(({ type }) => type)).toEqual([
      'm.room.topic',
      'm.room.policy',
      'm.room.redaction',
      'm.room.member',
    ])
    await scene.stillWorks(roomId, [carol])
  }
})

test('many at once, each of which has to wait for its signature', async () => {
  await using scene = await guardedRoom()
  const { bob, carol, roomId } = scene
  const bodies = Array.from({ length: 15 }, (_, index) => `number ${index}`)
  const answers = await Promise.all(bodies.map((body) => send(scene, body)))
  expect(answers.map(({ status }) => status)).toEqual(bodies.map(() => 200))
  const told = async (): Promise<string[]> => {
    const { chunk } = await carol.get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 100 })
    return chunk.flatMap(({ content }: Answer) => (content.body?.startsWith('number') ? content.body : []))
  }
  await expect.poll(async () => (await told()).sort()).toEqual([...bodies].sort())
  await scene.stillWorks(roomId, [bob, carol])
})

test('a policy server that cannot or does not want to answer, and how a room gets rid of it', async () => {
  await using scene = await guardedRoom()
  const { alice, carol, policy, roomId, inside, home } = scene
  const attempt = async (name: string, answer: object) => {
    policy.refuse = () => answer
    const { status, body } = await send(scene, name)
    return [status, body.errcode, body.error]
  }
  const silent = [502, 'M_CONNECTION_FAILED', expect.any(String)]
  // What clients would take for the end of their session is not passed on.
  expect(await attempt('one', { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN', error: 'x' } })).toEqual(silent)
  expect(await attempt('two', { status: 403, body: { errcode: 'M_UNKNOWN_TOKEN', error: 'x' } })).toEqual(silent)
  expect(await attempt('three', { status: 500, body: {} })).toEqual(silent)
  expect(await attempt('four', { text: '[]' })).toEqual(silent)
  expect(await attempt('five', { body: {} })).toEqual([403, 'M_FORBIDDEN', expect.any(String)])
  const limited = { errcode: 'M_LIMIT_EXCEEDED', error: 'slow down', retry_after_ms: 60_000 }
  expect(await attempt('six', { status: 429, body: limited })).toEqual([429, 'M_LIMIT_EXCEEDED', 'slow down'])
  const wrongKey = signingKeyFromSeed('policy_server', Buffer.alloc(32, 22))
  policy.refuse = (pdu) => ({ body: policy.sign(pdu, wrongKey) })
  expect((await send(scene, 'seven')).status).toBe(403)
  // A limit that is over soon is waited for.
  let times = 0
  policy.refuse = () => (times++ === 0 ? { status: 429, body: { ...limited, retry_after_ms: 1 } } : undefined)
  expect((await send(scene, 'eight')).status).toBe(200)
  policy.refuse = () => ({ status: 500, body: {} })
  // What takes the policy server from the room needs nobody's consent.
  await alice.sendState(roomId, 'm.room.policy', {})
  expect((await send(scene, 'nine')).status).toBe(200)
  await alice.sendState(roomId, 'm.room.policy', { ...policy.content, public_keys: { ed25519: 'no key' } })
  expect((await send(scene, 'ten')).status).toBe(403)
  await alice.sendState(roomId, 'm.room.policy', policy.content)
  expect((await send(scene, 'eleven')).status).toBe(502)
  // One whose server has nobody in the room is none.
  policy.refuse = () => undefined
  inside.ends = [inside.eventOf(policy.server.heard.at(-1)!)]
  const leave = inside.build({
    type: 'm.room.member',
    stateKey: inside.user('guard'),
    sender: inside.user('guard'),
    content: { membership: 'leave' },
  })
  expect(await inside.push(home, leave)).toEqual({})
  await scene.decided(leave)
  policy.refuse = () => ({ status: 500, body: {} })
  expect((await send(scene, 'twelve')).status).toBe(200)
  await sees(carol, roomId, 'twelve')
})

test('F59: events of others without the signature, with a forged one, and with one of another key', async () => {
  await using scene = await guardedRoom()
  const { room, home, policy, hostile, alice } = scene
  const other = signingKeyFromSeed('policy_server', Buffer.alloc(32, 23))
  const signedBy = (event: RoomEvent, signatures: Answer): RoomEvent => ({
    ...event,
    pdu: { ...event.pdu, signatures: { ...event.pdu.signatures, ...signatures } },
  })
  const take = async (event: RoomEvent) => {
    const answer = await hostile.send(home, [event.pdu])
    // Soft-failed events are taken, and shown to nobody.
    expect(answer[event.eventId]).toEqual({})
    room.ends = [event]
    await scene.decided(event)
    return scene.isSeen(event.eventId, alice)
  }
  const build = (body: string) => room.build({ content: text(body) })
  const asked = () => policy.judged.map((pdu) => pdu.content.body)

  const good = build('unsigned')
  expect(await take(good)).toBe(true)
  expect(asked()).toEqual(['unsigned'])
  const [kept] = await home.ctx.events.byIds([good.eventId])
  expect(kept!.event.pdu.signatures[policy.server.name]).toHaveProperty(POLICY_SERVER_KEY_ID)

  const signed = build('signed spam')
  expect(await take(signedBy(signed, policy.sign(signed.pdu)))).toBe(true)
  expect(asked()).toHaveLength(1)

  const bad = build('unsigned spam')
  expect(await take(bad)).toBe(false)
  // Sent again it is neither asked about nor shown.
  await hostile.send(home, [bad.pdu])
  expect(await scene.isSeen(bad.eventId, alice)).toBe(false)
  expect(asked()).toHaveLength(2)

  const forged = build('forged spam')
  const nonsense = { [policy.server.name]: { [POLICY_SERVER_KEY_ID]: encodeBase64(Buffer.alloc(64, 1)) } }
  expect(await take(signedBy(forged, nonsense))).toBe(false)
  const wrong = build('wrong key spam')
  expect(await take(signedBy(wrong, policy.sign(wrong.pdu, other)))).toBe(false)
  // The key by which the policy server signs its own events recommends nothing.
  const published = build('published key spam')
  const byServer = signEvent(published.pdu, policy.server.name, policy.server.key, room.rules)
  expect(await take({ ...published, pdu: byServer })).toBe(false)
  expect(asked()).toHaveLength(5)

  // An old signature by a key that was replaced is replaced itself.
  const renewed = build('renewed')
  expect(await take(signedBy(renewed, policy.sign(renewed.pdu, other)))).toBe(true)

  policy.refuse = () => ({ status: 500, body: {} })
  expect(await take(build('unreachable'))).toBe(false)
  policy.refuse = (pdu) => (isSpam(pdu) ? { status: 400, body: forbidden } : undefined)
  await scene.stillWorks()
})

test('F59: what the rules refuse is rejected whatever the policy server says, and what removes it is not held up', async () => {
  await using scene = await guardedRoom()
  const { room, home, policy, hostile, alice, roomId } = scene
  const topic = room.build({ type: 'm.room.topic', stateKey: '', content: { topic: 'mine' } })
  // A membership of nobody may not hold anything up either.
  const nobody = room.build({ type: 'm.room.member', content: { membership: 'join' } })
  await hostile.send(home, [nobody.pdu, topic.pdu])
  await scene.decided(topic)
  expect(await scene.isSeen(topic.eventId, alice)).toBe(false)
  expect(await alice.attempt('get', `/rooms/${enc(roomId)}/state/m.room.topic`)).toMatchObject({ status: 404 })
  const levels = await alice.getState(roomId, 'm.room.power_levels')
  await alice.sendState(roomId, 'm.room.power_levels', { ...levels, users: { ...levels.users, [room.user()]: 90 } })
  await expect
    .poll(() =>
      hostile.heard.some(
        ({ type, content }) => type === 'm.room.power_levels' && content.users?.[room.user() as never] === 90,
      ),
    )
    .toBe(true)
  const raised = hostile.heard.findLast(({ type }) => type === 'm.room.power_levels')!
  room.take([room.eventOf(raised)])
  room.ends = [room.eventOf(raised)]
  policy.refuse = () => ({ status: 400, body: forbidden })
  const before = policy.judged.length
  // In one transaction: one that is refused, the one by which the policy server is gone, and one that is then let be.
  const first = room.build({ content: text('held up') })
  const gone = room.build({ type: 'm.room.policy', stateKey: '', content: {}, prev: [first] })
  const after = room.build({ content: text('free'), prev: [gone] })
  const answer = await hostile.send(home, [first.pdu, gone.pdu, after.pdu])
  expect(Object.values(answer)).toEqual([{}, {}, {}])
  await scene.decided(after)
  expect(policy.judged.slice(before).map((pdu) => pdu.content.body)).toEqual(['held up'])
  expect(await scene.isSeen(first.eventId, alice)).toBe(false)
  expect(await scene.isSeen(after.eventId, alice)).toBe(true)
})

test('joins of others through this server, and invites, need the policy server too', async () => {
  await using scene = await guardedRoom()
  const { alice, honest, home, policy, roomId } = scene
  policy.refuse = (pdu) => (pdu.state_key?.includes('unwanted') ? { status: 400, body: forbidden } : undefined)
  const [unwanted, dave] = [await honest.register('unwanted'), await honest.register('dave')]
  const inviting = await alice.attempt('post', `/rooms/${enc(roomId)}/invite`, { body: { user_id: unwanted.userId } })
  expect([inviting.status, inviting.body]).toEqual([400, forbidden])
  expect((await unwanted.sync()).rooms?.invite ?? {}).toEqual({})
  const refused = await joinHostile(scene.hostile, home, roomId, 'unwanted').catch((error: Error) => error)
  expect(String(refused)).toContain('That looks like spam')
  const welcome = await joinHostile(scene.hostile, home, roomId, 'welcome')
  const [join] = await home.ctx.events.byIds([welcome.at('m.room.member', welcome.user('welcome')).eventId])
  expect(join!.event.pdu.signatures[policy.server.name]).toHaveProperty(POLICY_SERVER_KEY_ID)
  await alice.post(`/rooms/${enc(roomId)}/invite`, { user_id: dave.userId })
  await dave.join(roomId)
  await scene.stillWorks(roomId, [dave])
})

/** A room of ours with a policy server of ours. */
async function selfGuardedRoom() {
  const rules = { enabled: true, refused_texts: ['spam'] }
  const scene = await attackedRoom({}, {}, { config: { policy_server: rules } })
  const { alice, home, roomId } = scene
  const { body: told } = await home.request('get', '/.well-known/matrix/policy_server')
  const name = home.ctx.domains.default
  await alice.sendState(roomId, 'm.room.policy', { via: name, ...told })
  return {
    ...scene,
    name,
    publicKey: home.ctx.domains.policyKeyOf(name)!.publicKey,
    ask: (pdu: unknown) => scene.hostile.request(home, 'POST', '/_matrix/policy/v1/sign', { body: pdu }),
  }
}

test('a domain of ours as the policy server: our users, those of others, and who asks', async () => {
  await using scene = await selfGuardedRoom()
  const { alice, bob, carol, home, hostile, room, roomId, ask, name, publicKey } = scene
  const refused = await alice.attempt('put', `/rooms/${enc(roomId)}/send/m.room.message/1`, { body: text('SPAM') })
  expect([refused.status, refused.body.errcode]).toEqual([400, 'M_FORBIDDEN'])
  const { event_id: eventId } = await alice.send(roomId, 'm.room.message', text('fine'))
  const [own] = await home.ctx.events.byIds([eventId], { edges: true })
  expect(verifyEvent(own!.event.pdu, name, POLICY_SERVER_KEY_ID, publicKey, room.rules)).toBe(true)

  const good = room.build({ content: text('good') })
  const answer = await ask(good.pdu)
  expect(Object.keys(answer.body)).toEqual([name])
  const pdu = { ...good.pdu, signatures: { ...good.pdu.signatures, ...answer.body } }
  expect(verifyEvent(pdu, name, POLICY_SERVER_KEY_ID, publicKey, room.rules)).toBe(true)
  const bad = room.build({ content: text('spam') })
  expect(await ask(bad.pdu)).toMatchObject({ status: 400, body: { errcode: 'M_FORBIDDEN' } })

  // Who sends it without asking has it judged on its way in.
  const unasked = room.build({ content: text('unasked') })
  expect(await hostile.send(home, [unasked.pdu, bad.pdu])).toEqual({ [unasked.eventId]: {}, [bad.eventId]: {} })
  await expect.poll(async () => (await home.ctx.events.byIds([unasked.eventId, bad.eventId])).length).toBe(2)
  expect(await scene.isSeen(unasked.eventId)).toBe(true)
  expect(await scene.isSeen(bad.eventId)).toBe(false)

  // The other server asks this one for its users' events.
  const honest = await carol.attempt('put', `/rooms/${enc(roomId)}/send/m.room.message/2`, { body: text('spam too') })
  expect([honest.status, honest.body.errcode]).toEqual([400, 'M_FORBIDDEN'])
  await carol.send(roomId, 'm.room.message', text('hello from elsewhere'))
  await sees(bob, roomId, 'hello from elsewhere')
  await scene.stillWorks()
})

test('what a domain of ours does not sign as a policy server', async () => {
  await using scene = await selfGuardedRoom()
  const { alice, home, room, roomId, ask, hostile } = scene
  const problem = async (pdu: unknown) => {
    const { status, body } = await ask(pdu)
    return [status, body.errcode]
  }
  const good = room.build({ content: text('harmless') })
  // A hash of something else: its content would be shown, and was never looked at.
  expect(await problem(room.build({ over: { content: text('x') } }).pdu)).toEqual([200, undefined])
  const swapped = { ...good.pdu, content: text('harmless too') }
  expect(await problem(swapped)).toEqual([400, 'M_BAD_JSON'])
  expect(await problem({ ...good.pdu, signatures: {} })).toEqual([400, 'M_BAD_JSON'])
  expect(await problem({ ...good.pdu, depth: 'deep' })).toEqual([400, 'M_BAD_JSON'])
  expect(await problem(room.build({ sender: alice.userId }).pdu)).toEqual([400, 'M_BAD_JSON'])
  expect(await problem(room.build({ type: 'm.room.policy', stateKey: '', content: {} }).pdu)).toEqual([
    400,
    'M_BAD_JSON',
  ])
  expect(await problem({ ...good.pdu, room_id: '!unknown:a.test' })).toEqual([404, 'M_NOT_FOUND'])
  await using outsider = await startHostileServer()
  const asked = await outsider.request(home, 'POST', '/_matrix/policy/v1/sign', { body: good.pdu })
  expect([asked.status, asked.body.errcode]).toEqual([404, 'M_NOT_FOUND'])
  const { room: unguarded } = await scene.open()
  expect(await problem(unguarded.build().pdu)).toEqual([404, 'M_NOT_FOUND'])
  await alice.sendState(roomId, 'm.room.server_acl', { allow: ['*'], deny: ['127.0.0.1'] })
  expect(await problem(good.pdu)).toEqual([403, 'M_FORBIDDEN'])
  // Switched off, as it is by default, there is no such operation.
  const elsewhere = await hostile.request(scene.honest, 'POST', '/_matrix/policy/v1/sign', { body: good.pdu })
  expect([elsewhere.status, elsewhere.body.errcode]).toEqual([404, 'M_UNRECOGNIZED'])
  expect((await scene.honest.request('get', '/.well-known/matrix/policy_server')).status).toBe(404)
  expect(home.ctx.domains.keyOf(home.ctx.domains.default).publicKey).not.toEqual(scene.publicKey)
})

test('history that was never signed: the policy server is asked, and what it refuses is not shown', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  await using policy = await startPolicyServer(room.rules)
  const guard: UserId = `@guard:${policy.server.name}`
  const { pdu } = room.build({
    type: 'm.room.member',
    sender: guard,
    stateKey: guard,
    content: { membership: 'join' },
  })
  const { hashes: _hashes, signatures: _signatures, ...bare } = pdu
  const joined = policy.server.stamp(bare as unknown as JsonObject, room.rules)
  room.take([joined])
  room.ends = [joined]
  room.add({ type: 'm.room.policy', stateKey: '', content: policy.content })
  policy.refuse = (asked) => (isSpam(asked) ? { status: 400, body: forbidden } : undefined)
  const good = room.add({ content: text('good') })
  const spam = Array.from({ length: 120 }, (_, index) => room.add({ content: text(`spam ${index}`) }))
  room.add({ content: text('last') })
  hostile.answer = (asked) => {
    if (!asked.path.includes('/backfill/')) return room.answerTo(asked)
    const from = new URL(asked.path, hostile.url).searchParams.get('v')
    const end = room.events.findIndex(({ eventId }) => eventId === from) + 1
    return {
      body: {
        pdus: room.events
          .slice(Math.max(0, end - 100), end)
          .reverse()
          .map((event) => event.pdu),
      },
    }
  }
  await alice.post(`/join/${enc(room.roomId)}?via=${enc(hostile.name)}`)
  const bodies: string[] = []
  for (let from: string | undefined, pages = 0; pages < 20; pages++) {
    const page = await alice.get(`/rooms/${enc(room.roomId)}/messages`, { dir: 'b', limit: 10, from })
    bodies.push(...page.chunk.flatMap(({ content }: Answer) => content.body ?? []))
    from = page.end
    if (from === undefined) break
  }
  expect(bodies).toEqual(['last', 'good'])
  const [stored] = await home.ctx.events.byIds([good.eventId])
  expect(stored!.event.pdu.signatures[policy.server.name]).toHaveProperty(POLICY_SERVER_KEY_ID)
  // The one that names the policy server it is not asked about.
  expect(policy.judged.map(({ type }) => type)).not.toContain('m.room.policy')
  expect(policy.judged.length).toBeGreaterThanOrEqual(spam.length + 2)
})
