import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseEvent } from '../src/matrix/event-format.ts'
import { serverNameOf } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { attackedRoom, type HostileRoom, hostRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { type Mutated, mutate, mutation } from './mutated-events.fixtures.ts'

/** `npm run fuzz` asks for many more. */
const cases = Number(process.env.CHAPPE_FUZZ_CASES ?? 400)
const seed = Number(process.env.CHAPPE_FUZZ_SEED ?? 6)
/** Milliseconds after which no further round begins. */
const longest = Number(process.env.CHAPPE_FUZZ_MINUTES ?? 10) * 60_000

const enc = encodeURIComponent
const versions = ['12', '10', '6', '1']
const inRound = 100
const inTransaction = 10

type Scene = Awaited<ReturnType<typeof attackedRoom>>
type Told = { readonly way: string; readonly status: number; readonly body: Answer; readonly sent: readonly Mutated[] }

/** Nothing that is sent may be a mistake of ours. */
function isSound({ way, status, body, sent }: Told): void {
  const what = () =>
    `${way}: ${status} ${JSON.stringify(body)} ${JSON.stringify(sent.map(({ json }) => json)).slice(0, 4000)}`
  expect(status, what()).toBeLessThan(500)
  expect(JSON.stringify(body), what()).not.toContain('cannot be stored now')
}

/** What was taken in is told to others as it came: it has the same id for them. */
async function areKept({ hostile, home }: Scene, room: HostileRoom, results: Answer): Promise<void> {
  for (const eventId of Object.keys(results).filter((id) => results[id].error === undefined)) {
    const { status, body } = await hostile.request(home, 'GET', `/_matrix/federation/v1/event/${enc(eventId)}`)
    if (status === 200) expect(room.eventOf(body.pdus[0]).eventId, JSON.stringify(body.pdus)).toBe(eventId)
  }
}

async function byTransactions(scene: Scene, room: HostileRoom, events: readonly Mutated[], id: string): Promise<void> {
  for (let at = 0; at < events.length; at += inTransaction) {
    const sent = events.slice(at, at + inTransaction)
    const body = { origin: scene.hostile.name, origin_server_ts: 1, pdus: sent.map(({ json }) => json), edus: [] }
    const uri = `/_matrix/federation/v1/send/${id}-${at}`
    const answer = await scene.hostile.request(scene.home, 'PUT', uri, { body })
    isSound({ way: 'send', sent, ...answer })
    await areKept(scene, room, answer.body.pdus ?? {})
  }
}

async function byMemberships(scene: Scene, room: HostileRoom, events: readonly Mutated[]): Promise<void> {
  const bob = scene.bob.userId
  for (const [index, one] of events.entries()) {
    const place = `${enc(room.roomId)}/${enc(one.eventId)}`
    const way = ['v2/send_join', 'v2/send_leave', 'v1/send_knock', 'v2/invite', 'v1/invite'][index % 5]!
    const invite = { event: one.json, room_version: room.rules.version, invite_room_state: [one.json] }
    const body = way === 'v2/invite' ? invite : one.json
    const uri = `/_matrix/federation/${way}/${place}`
    const answer = await scene.hostile.request(scene.home, 'PUT', uri, { body })
    isSound({ way, sent: [one], ...answer })
    const told = Array.isArray(answer.body) ? answer.body[1] : answer.body
    if (!way.endsWith('invite') || answer.status !== 200) continue
    const { type, sender, content } = told.event
    const isInvite = type === 'm.room.member' && content.membership === 'invite' && told.event.state_key === bob
    expect(isInvite && serverNameOf(sender) === scene.hostile.name, JSON.stringify(told)).toBe(true)
  }
}

/** What is missing is asked for, and what is told are the mutated events. */
async function byAnswers(scene: Scene, room: HostileRoom, events: readonly Mutated[]): Promise<void> {
  const { hostile } = scene
  const pdus = events.map(({ json }) => json)
  const ids = events.map(({ eventId }) => eventId)
  const answers: [string, unknown][] = [
    ['/get_missing_events/', { events: pdus }],
    ['/backfill/', { pdus }],
    ['/event/', { pdus }],
    ['/event_auth/', { auth_chain: pdus }],
    ['/state_ids/', { pdu_ids: ids, auth_chain_ids: ids }],
    ['/state/', { pdus, auth_chain: pdus }],
  ]
  hostile.answer = ({ path }) => {
    const body = answers.find(([part]) => path.includes(part))?.[1]
    return body === undefined ? undefined : { body }
  }
  const lost = room.build({ content: { body: 'lost' } })
  const edges = [{ ...lost, eventId: ids[0] as typeof lost.eventId }]
  const format = room.rules.eventFormat
  const last = format === 'v1' ? room.build({ prev: [lost] }) : room.build({ prev: edges })
  const sent = [{ json: last.pdu as unknown as JsonObject, eventId: last.eventId }]
  await byTransactions(scene, room, sent, `gap-${last.eventId}`)
  expect((await scene.alice.attempt('get', `/rooms/${enc(room.roomId)}/messages?dir=b&limit=50`)).status).toBe(200)
  hostile.answer = () => undefined
}

/** A room whose state is made of them. */
async function byJoins(scene: Scene, name: string, mutations: readonly Parameters<typeof mutate>[1][]): Promise<void> {
  const { hostile, alice } = scene
  const room = hostRoom(hostile, name)
  const bad = mutations.map((one, index) => mutate(room, one, index).json)
  room.changes.send_join = (answer) => ({
    ...answer,
    state: [...answer.state, ...bad],
    auth_chain: [...bad, ...answer.auth_chain],
  })
  hostile.answer = (asked) => room.answerTo(asked)
  const { status, body } = await alice.attempt('post', `/join/${enc(room.roomId)}?via=${enc(hostile.name)}`, {
    body: {},
  })
  hostile.answer = () => undefined
  expect([200, 400, 403, 404, 502], JSON.stringify(body)).toContain(status)
  if (status === 200) await alice.leave(room.roomId)
}

/** What others get of the room from us is in order, whatever came in. */
async function passesOnGoodAlone(scene: Scene, room: HostileRoom): Promise<void> {
  const { hostile, home } = scene
  const [place, event] = [enc(room.roomId), enc(room.ends[0]!.eventId)]
  const told: Answer[] = []
  for (const path of [`backfill/${place}?v=${event}&limit=100`, `state/${place}?event_id=${event}`]) {
    const { status, body } = await hostile.request(home, 'GET', `/_matrix/federation/v1/${path}`)
    expect(status).toBe(200)
    told.push(...body.pdus, ...(body.auth_chain ?? []))
  }
  for (const pdu of [...told, ...hostile.heard.filter(({ room_id: of }) => of === room.roomId)]) {
    expect(parseEvent(pdu, room.rules)).not.toHaveProperty('error')
  }
  hostile.heard.length = 0
  hostile.asked.length = 0
}

async function round(scene: Scene, number: number): Promise<void> {
  const version = versions[number % versions.length]!
  const { hostile, alice, home } = scene
  const mallory = `@mallory:${hostile.name}`
  const creators = version === '12' ? {} : { [alice.userId]: 100 }
  const roomId = await alice.createRoom({
    preset: 'public_chat',
    room_version: version,
    power_level_content_override: { users: { ...creators, [mallory]: 50 }, kick: 100, ban: 100 },
  })
  // Before the hostile server comes: nothing that it says of the room lies beside this join, and so takes it back.
  if (number % 8 === 0) await scene.carol.post(`/join/${enc(roomId)}?via=${enc(home.ctx.domains.default)}`)
  const room = await joinHostile(hostile, home, roomId)
  const mutations = fc.sample(mutation, { numRuns: inRound, seed: seed + number })
  const events = mutations.map((one, index) => mutate(room, one, number * inRound + index))
  await byTransactions(scene, room, events.slice(0, 60), `round-${number}`)
  await byMemberships(scene, room, events.slice(60, 80))
  await byAnswers(scene, room, events.slice(80, 90))
  await byJoins(scene, `room${number}`, mutations.slice(90))
  const good = await hostile.send(home, [room.build({ content: { msgtype: 'm.text', body: 'good' } }).pdu])
  expect(Object.keys(good)).toHaveLength(1)
  expect((await alice.attempt('get', '/sync')).status).toBe(200)
  await passesOnGoodAlone(scene, room)
  if (number % 8 === 0) await scene.stillWorks(roomId, [scene.carol])
  await alice.leave(roomId)
  await alice.membership(roomId, 'forget')
}

test(`${cases} mutated events by every way in: no mistake of ours, and none of them leaves again`, async () => {
  await using scene = await attackedRoom()
  await using listener = await startHostileServer()
  await joinHostile(listener, scene.home, scene.roomId, 'listener')
  const start = Date.now()
  let done = 0
  for (let number = 0; done < cases && Date.now() - start < longest; number++) {
    await round(scene, number)
    done += inRound
  }
  await scene.stillWorks()
  if (cases > 1000) console.log(`${done} cases in ${Math.round((Date.now() - start) / 1000)} s`)
}, 3_600_000)
