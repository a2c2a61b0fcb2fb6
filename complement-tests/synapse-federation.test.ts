import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Authority, createAuthority } from './certificates.ts'
import { encryptedConversation } from './encrypted-conversation.ts'
import { type Answer, membershipOf, type PlainUser, refused, registerPlain } from './plain-user.ts'
import { freePort, startProgram } from './program.ts'
import { startSynapse } from './synapse.ts'

const enc = encodeURIComponent

/** Our program, as a ministry runs it: TLS on a port of its own, a private authority. */
async function startChappe(authority: Authority) {
  const port = await freePort()
  const { certificate, key } = authority.certify(`chappe-${port}`)
  const name = `localhost:${port}`
  const program = await startProgram({
    CHAPPE_SERVER_NAMES: name,
    CHAPPE_FEDERATION_ALLOW: '*',
    CHAPPE_FEDERATION_PORT: String(port),
    CHAPPE_TLS_CERT_FILE: certificate,
    CHAPPE_TLS_KEY_FILE: key,
    CHAPPE_FEDERATION_CA_FILE: authority.ca,
    CHAPPE_FEDERATION_ALLOW_ADDRESSES: '127.0.0.0/8,::1/128',
    CHAPPE_PRESENCE_ENABLED: 'true',
  })
  return { program, name }
}

async function startBoth() {
  const authority = createAuthority()
  const starting = [startChappe(authority), startSynapse(authority)] as const
  const [chappe, synapse] = await Promise.all(starting).catch(async (error: unknown) => {
    // What has started goes on otherwise, beside all that follows.
    const [ours, theirs] = await Promise.allSettled(starting)
    if (ours.status === 'fulfilled') await ours.value.program[Symbol.asyncDispose]()
    if (theirs.status === 'fulfilled') await theirs.value[Symbol.asyncDispose]()
    throw error
  })
  return {
    chappe,
    synapse,
    async [Symbol.asyncDispose]() {
      await Promise.all([chappe.program[Symbol.asyncDispose](), synapse[Symbol.asyncDispose]()])
      authority[Symbol.dispose]()
    },
  }
}

const withBody =
  (body: string) =>
  ({ content }: Answer): boolean =>
    content.body === body

/** Everything that two users on different servers do in a room, from its creation by the one. */
async function shareRooms(own: PlainUser, other: PlainUser, ownName: string, roomVersion: string): Promise<void> {
  const { room_id: room } = await own.ask('POST', '/createRoom', {
    preset: 'private_chat',
    room_version: roomVersion,
    invite: [other.userId],
    name: `Room of ${own.userId}`,
  })
  const here = `/rooms/${enc(room)}`
  const invite = await other.synced((sync) => sync.rooms?.invite?.[room]?.invite_state?.events)
  expect(invite.find(({ type }: Answer) => type === 'm.room.name').content.name).toBe(`Room of ${own.userId}`)
  await other.ask('POST', `/join/${enc(room)}`, {})
  await own.sees(room, membershipOf(other.userId, 'join'))

  // Messages, reactions, edits and redactions.
  await own.say(room, 'from the owner')
  await other.sees(room, withBody('from the owner'))
  const theirs = await other.say(room, 'from the guest')
  await own.sees(room, withBody('from the guest'))
  const secret = await own.say(room, 'to be redacted')
  await other.sees(room, withBody('to be redacted'))
  await own.ask('PUT', `${here}/redact/${enc(secret)}/r1`, {})
  await other.sees(
    room,
    ({ type, redacts, content }) => type === 'm.room.redaction' && (redacts ?? content.redacts) === secret,
  )
  expect((await other.ask('GET', `${here}/event/${enc(secret)}`)).content).toEqual({})

  // Receipts, typing, state, profiles.
  await own.ask('POST', `${here}/receipt/m.read/${enc(theirs)}`, {})
  const ephemeral = (find: (content: Answer) => boolean, type: string) =>
    other.synced((sync) =>
      (sync.rooms?.join?.[room]?.ephemeral?.events ?? []).find((one: Answer) => one.type === type && find(one.content)),
    )
  await ephemeral((content) => content[theirs]?.['m.read']?.[own.userId] !== undefined, 'm.receipt')
  await own.ask('PUT', `${here}/typing/${enc(own.userId)}`, { typing: true, timeout: 20_000 })
  await ephemeral((content) => content.user_ids.includes(own.userId), 'm.typing')
  await own.setState(room, 'm.room.topic', { topic: 'semaphores' })
  await other.sees(room, ({ type, content }) => type === 'm.room.topic' && content.topic === 'semaphores')
  await own.ask('PUT', `/profile/${enc(own.userId)}/displayname`, { displayname: 'Claude' })
  await other.sees(room, ({ type, content }) => type === 'm.room.member' && content.displayname === 'Claude')
  expect((await other.ask('GET', `/profile/${enc(own.userId)}`)).displayname).toBe('Claude')

  // Kick, ban, unban; a room that is public then, by its alias.
  await own.ask('POST', `${here}/kick`, { user_id: other.userId, reason: 'out' })
  await other.sees(room, membershipOf(other.userId, 'leave'))
  await refused(other.ask('POST', `/join/${enc(room)}?via=${enc(ownName)}`, {}), 403)
  await own.ask('POST', `${here}/ban`, { user_id: other.userId })
  await own.ask('POST', `${here}/unban`, { user_id: other.userId })
  await own.setState(room, 'm.room.join_rules', { join_rule: 'public' })
  const alias = `#meeting${roomVersion}:${ownName}`
  await own.ask('PUT', `/directory/room/${enc(alias)}`, { room_id: room })
  await other.ask('POST', `/join/${enc(alias)}`, {})
  await other.say(room, 'back again')
  await own.sees(room, withBody('back again'))
  await other.ask('POST', `${here}/leave`, {})
  await own.sees(room, membershipOf(other.userId, 'leave'))
}

/** Knocks, restricted rooms, history, directories and media of the one, for the other. */
async function visit(own: PlainUser, other: PlainUser, ownName: string): Promise<void> {
  const create = async (body: object): Promise<string> => (await own.ask('POST', '/createRoom', body)).room_id
  const via = `?via=${enc(ownName)}&server_name=${enc(ownName)}`

  const closed = await create({ preset: 'private_chat', room_version: '10' })
  await own.setState(closed, 'm.room.join_rules', { join_rule: 'knock' })
  await other.ask('POST', `/knock/${enc(closed)}${via}`, { reason: 'let me in' })
  await own.sees(closed, membershipOf(other.userId, 'knock'))
  await own.ask('POST', `/rooms/${enc(closed)}/invite`, { user_id: other.userId })
  await other.synced((sync) => sync.rooms?.invite?.[closed])
  await other.ask('POST', `/rooms/${enc(closed)}/leave`, {})
  await own.sees(closed, membershipOf(other.userId, 'leave'))

  const open = await create({ preset: 'public_chat', visibility: 'public', name: `Square of ${ownName}` })
  const said: string[] = []
  for (let number = 0; number < 30; number++) said.push(await own.say(open, `before ${number}`))
  const summary = await other.ask('GET', `/_matrix/client/v1/room_summary/${enc(open)}${via}`)
  expect([summary.name, summary.join_rule]).toEqual([`Square of ${ownName}`, 'public'])
  await other.ask('POST', `/join/${enc(open)}${via}`, {})
  const { origin_server_ts: ts } = await own.ask('GET', `/rooms/${enc(open)}/event/${enc(said[10]!)}`)
  const found = await other.ask('GET', `/_matrix/client/v1/rooms/${enc(open)}/timestamp_to_event?ts=${ts}&dir=f`)
  expect(found.origin_server_ts).toBe(ts)
  const bodies: string[] = []
  for (let from = '', isFirst = true; isFirst || from !== ''; isFirst = false) {
    const page = await other.ask('GET', `/rooms/${enc(open)}/messages?dir=b&limit=20${from}`)
    bodies.unshift(...page.chunk.flatMap(({ content }: Answer) => content.body ?? []).reverse())
    from = page.end === undefined ? '' : `&from=${enc(page.end)}`
  }
  expect(bodies).toEqual(Array.from({ length: 30 }, (_, number) => `before ${number}`))

  const restricted = await create({ preset: 'private_chat', room_version: '10' })
  const allow = [{ type: 'm.room_membership', room_id: open }]
  await own.setState(restricted, 'm.room.join_rules', { join_rule: 'restricted', allow })
  await other.ask('POST', `/join/${enc(restricted)}${via}`, {})
  await own.sees(restricted, membershipOf(other.userId, 'join'))

  const list = await other.ask('POST', `/publicRooms?server=${enc(ownName)}`, {})
  expect(list.chunk.map(({ name }: Answer) => name)).toContain(`Square of ${ownName}`)

  const space = await create({ preset: 'public_chat', creation_content: { type: 'm.space' }, name: 'Space' })
  const unseen = await create({ preset: 'public_chat', name: 'Not entered yet' })
  await own.setState(space, 'm.space.child', { via: [ownName], order: 'a' }, open)
  await own.setState(space, 'm.space.child', { via: [ownName], order: 'b' }, unseen)
  const outside = `/_matrix/client/v1/room_summary/${enc(space)}${via}`
  expect((await other.ask('GET', outside)).room_type).toBe('m.space')
  await other.ask('POST', `/join/${enc(space)}${via}`, {})
  const { rooms } = await other.ask('GET', `/_matrix/client/v1/rooms/${enc(space)}/hierarchy`)
  expect(rooms.map(({ room_id }: Answer) => room_id)).toEqual([space, open, unseen])
  expect(rooms.at(-1).name).toBe('Not entered yet')

  const upload = await fetch(`${own.url}/_matrix/media/v3/upload?filename=plan.txt`, {
    method: 'POST',
    headers: { authorization: `Bearer ${own.token}`, 'content-type': 'text/plain' },
    body: 'a plan',
  })
  const { content_uri: uri } = (await upload.json()) as { content_uri: string }
  const download = await fetch(`${other.url}/_matrix/client/v1/media/download/${uri.slice('mxc://'.length)}`, {
    headers: { authorization: `Bearer ${other.token}` },
  })
  expect([download.status, await download.text()]).toEqual([200, 'a plan'])

  // A room that is upgraded takes its people along.
  const { replacement_room: next } = await own.ask('POST', `/rooms/${enc(open)}/upgrade`, { new_version: '11' })
  await other.sees(open, ({ type, content }) => type === 'm.room.tombstone' && content.replacement_room === next)
  await other.ask('POST', `/join/${enc(next)}${via}`, {})
  await other.say(next, 'moved')
  await own.sees(next, withBody('moved'))
}

describe('while both run', () => {
  let servers: Awaited<ReturnType<typeof startBoth>>
  beforeAll(async () => {
    servers = await startBoth()
  }, 120_000)
  afterAll(() => servers[Symbol.asyncDispose]())

  test('two officials, one on Chappe and one on Synapse, share rooms that either of them made', {
    timeout: 180_000,
  }, async () => {
    const { chappe, synapse } = servers
    const anne = await registerPlain(chappe.program.url, 'anne')
    const ben = await registerPlain(synapse.url, 'ben')
    for (const version of ['6', '10', '11', '12']) await shareRooms(anne, ben, chappe.name, version)
    for (const version of ['6', '10', '11', '12']) await shareRooms(ben, anne, synapse.name, version)
    await visit(anne, ben, chappe.name)
    await visit(ben, anne, synapse.name)
  })

  test('they talk encrypted from end to end', { timeout: 180_000 }, async () => {
    await encryptedConversation([servers.chappe.program.url, servers.synapse.url])
  })
})

test('what was said while the other was down arrives when it is up again', { timeout: 300_000 }, async () => {
  await using servers = await startBoth()
  const { chappe, synapse } = servers
  const alice = await registerPlain(chappe.program.url, 'alice')
  const bob = await registerPlain(synapse.url, 'bob')
  const { room_id: room } = await alice.ask('POST', '/createRoom', { preset: 'public_chat' })
  await bob.ask('POST', `/join/${enc(room)}?server_name=${enc(chappe.name)}`, {})
  await bob.say(room, 'here')
  await alice.sees(room, withBody('here'))
  await synapse.stop()
  for (let number = 0; number < 1000; number++) await alice.say(room, `away ${number}`)
  await synapse.start()
  await bob.say(room, 'back')
  await alice.sees(room, withBody('back'))
  await bob.sees(room, withBody('away 999'))
  await chappe.program.stop()
  for (let number = 0; number < 100; number++) await bob.say(room, `gone ${number}`)
  await chappe.program.restart()
  await alice.say(room, 'again')
  await alice.sees(room, withBody('gone 99'))
})
