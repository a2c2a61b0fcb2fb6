import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient, type TestServer } from '../testing/index.ts'

/**
 * Every visibility of the history and every way in and out of a room, asked through every endpoint that reads events. The
 * oracle is the specification's list of rules, Client-Server API, "Room history visibility", "Server behaviour".
 */
const visibilities = ['world_readable', 'shared', 'invited', 'joined'] as const
type Visibility = (typeof visibilities)[number]
type Membership = 'leave' | 'invite' | 'join' | 'ban'
type Step = 'invite' | 'join' | 'leave' | 'kick' | 'ban' | 'unban' | 'change visibility'

const becomes: { readonly [step in Exclude<Step, 'change visibility'>]: Membership } = {
  invite: 'invite',
  join: 'join',
  leave: 'leave',
  kick: 'leave',
  ban: 'ban',
  unban: 'leave',
}

/** Between the steps, before and after them, a message is sent. */
const histories: { readonly [name: string]: readonly Step[] } = {
  never: [],
  'invited only': ['invite'],
  'invite rejected': ['invite', 'leave'],
  joined: ['join'],
  'invited, then joined': ['invite', 'join'],
  left: ['join', 'leave'],
  kicked: ['invite', 'join', 'kick'],
  banned: ['join', 'ban'],
  'came back': ['join', 'leave', 'join'],
  'invited again': ['join', 'leave', 'invite'],
  unbanned: ['join', 'ban', 'unban'],
  'joined before the change': ['join', 'change visibility'],
  'joined after the change': ['change visibility', 'join'],
  'left before the change': ['join', 'leave', 'change visibility'],
  'never, with a change': ['change visibility'],
}

type Sent = { readonly eventId: string; readonly visibility: Visibility; readonly membership: Membership; at: number }
type Story = {
  readonly room: RoomId
  readonly sent: Sent[]
  readonly topics: Sent[]
  readonly memberships: { at: number; to: Membership }[]
}

const path = encodeURIComponent

function opposite(visibility: Visibility): Visibility {
  return visibility === 'joined' || visibility === 'invited' ? 'shared' : 'joined'
}

async function tell(owner: TestClient, reader: TestClient, first: Visibility, steps: readonly Step[]): Promise<Story> {
  const room = await owner.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: first } }],
  })
  const story: Story = { room, sent: [], topics: [], memberships: [] }
  let visibility = first
  let membership: Membership = 'leave'
  let at = 0
  const send = async () => {
    const root = story.sent[0]?.eventId
    const relates = root === undefined ? {} : { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
    const { event_id: eventId } = await owner.send(room, 'm.room.message', { body: `message ${at}`, ...relates })
    await owner.post(`/rooms/${path(room)}/receipt/m.read/${path(eventId)}`, {})
    const { event_id: topic } = await owner.sendState(room, 'm.room.topic', { topic: `topic ${at}` })
    story.topics.push({ eventId: topic, visibility, membership, at })
    story.sent.push({ eventId, visibility, membership, at: at++ })
  }
  await send()
  for (const step of steps) {
    if (step === 'change visibility') {
      visibility = opposite(visibility)
      await owner.sendState(room, 'm.room.history_visibility', { history_visibility: visibility })
    } else {
      if (step === 'join') await reader.join(room)
      else if (step === 'leave') await reader.leave(room)
      else await owner.membership(room, step, { user_id: reader.userId })
      membership = becomes[step]
      story.memberships.push({ at: at++, to: membership })
    }
    await send()
  }
  return story
}

/** What the reader is told of as replaced. Spec: `prev_content`, "the client has permission to see the previous content". */
function checkReplaced(answer: Answer, story: Story): void {
  JSON.stringify(answer, (_key, value: Answer) => {
    const index = story.topics.findIndex(({ eventId }) => eventId === value?.event_id)
    const [before, topic] = [story.topics[index - 1], story.topics[index]]
    if (!before || !topic || value.unsigned?.['m.relations']) return value
    // Who was in the room when it was replaced, or anybody where all may look in, could see it as the room's state.
    const wasState = topic.membership === 'join' || topic.visibility === 'world_readable'
    const { prev_content: replaced, replaces_state: eventId } = value.unsigned ?? {}
    const told = { replaced, eventId }
    if (maySee(story, before) || wasState) expect(told).toMatchObject({ eventId: before.eventId })
    else expect(told).toEqual({ replaced: undefined, eventId: undefined })
    return value
  })
}

/** The five rules. */
function maySee({ memberships }: Story, { visibility, membership, at }: Sent): boolean {
  if (visibility === 'world_readable') return true
  if (membership === 'join') return true
  if (visibility === 'shared' && memberships.some((change) => change.to === 'join' && change.at > at)) return true
  return membership === 'invite' && visibility === 'invited'
}

function idsIn(answer: Answer, sent: readonly Sent[]): string[] {
  // What a visible event says of another one is its own content.
  const text = JSON.stringify(answer, (key, value: unknown) => (key === 'm.relates_to' ? undefined : value))
  return sent.filter(({ eventId }) => text.includes(`"event_id":"${eventId}"`)).map(({ eventId }) => eventId)
}

async function check(server: TestServer, reader: TestClient, story: Story): Promise<void> {
  const { room, sent, memberships } = story
  const visible = sent.filter((one) => maySee(story, one)).map(({ eventId }) => eventId)
  const hidden = sent.filter(({ eventId }) => !visible.includes(eventId))
  const now = memberships.at(-1)?.to ?? 'leave'
  const wasJoined = memberships.some(({ to }) => to === 'join')
  const isOpen = sent.at(-1)!.visibility === 'world_readable'
  const looksIn = now === 'join' || isOpen || (wasJoined && now !== 'invite')
  const at = `/rooms/${path(room)}`
  const v1 = `/_matrix/client/v1${at}`
  const ask = (where: string, query = {}) => reader.attempt('get', where, { query })

  for (const { eventId } of sent) {
    const one = await ask(`${at}/event/${path(eventId)}`)
    expect([eventId, one.status]).toEqual([eventId, looksIn && visible.includes(eventId) ? 200 : 404])
    const refused = looksIn ? 404 : 403
    const around = await ask(`${at}/context/${path(eventId)}`, { limit: 100 })
    if (one.status !== 200) expect(around.status).toBe(refused)
    else expect(idsIn(around.body, sent)).toEqual(visible)
    const related = await ask(`${v1}/relations/${path(eventId)}`, { limit: 100 })
    if (one.status !== 200) expect(related.status).toBe(refused)
    // Nothing that is bundled, wherever it is, tells of what is hidden.
    expect(idsIn([one.body, around.body, related.body], hidden)).toEqual([])
  }
  for (const [where, query] of [
    [`${at}/messages`, { dir: 'b', limit: 100 }],
    [`${at}/messages`, { dir: 'f', limit: 100 }],
    [`${v1}/threads`, {}],
  ] as const) {
    const answer = await ask(where, query)
    expect([where, answer.status]).toEqual([where, looksIn ? 200 : 403])
    if (looksIn && where.endsWith('messages')) {
      expect(idsIn(answer.body, sent)).toEqual(visible)
      checkReplaced(answer.body.chunk, story)
    }
    expect(idsIn(answer.body, hidden)).toEqual([])
  }
  for (const where of ['/state', '/members']) expect((await ask(at + where)).status).toBe(looksIn ? 200 : 403)
  const { next_batch: token } = await reader.sync()
  expect((await ask(`${at}/members`, { at: token })).status).toBe(looksIn ? 200 : 403)
  expect((await ask(`${at}/joined_members`)).status).toBe(now === 'join' ? 200 : 403)

  const room_events = { search_term: 'message', filter: { rooms: [room], limit: 100 }, event_context: {} }
  const { body: found } = await reader.attempt('post', '/search', { body: { search_categories: { room_events } } })
  const results = found.search_categories.room_events.results.map(({ result }: Answer) => result)
  if (now === 'join') expect(idsIn(results, sent)).toEqual(visible)
  expect(idsIn(found, hidden)).toEqual([])
  for (const { eventId } of sent) {
    const receipt = await reader.attempt('post', `${at}/receipt/m.read/${path(eventId)}`, { body: {} })
    const answer = now === 'join' ? (visible.includes(eventId) ? 200 : 404) : 403
    expect(['receipt', receipt.status]).toEqual(['receipt', answer])
  }

  const timeline = { timeline: { limit: 100 }, include_leave: true }
  const filter = JSON.stringify({ room: timeline })
  // From memory, as it was at the beginning, and as a process that knows nothing yet tells it.
  const answers = await Promise.all([
    reader.sync({ filter }),
    reader.sync({ filter, use_state_after: true }),
    reader.sync({ filter, since: 's1' }),
    server.adopt(reader).sync({ filter }),
  ])
  for (const answer of answers) {
    const { join, leave } = answer.rooms ?? {}
    const told = join?.[room] ?? leave?.[room]
    expect(idsIn(told ?? {}, hidden)).toEqual([])
    if (now === 'join') expect(idsIn(told, sent)).toEqual(visible)
    for (const { eventId } of hidden) expect(JSON.stringify(told?.ephemeral ?? {})).not.toContain(eventId)
    checkReplaced(told?.timeline, story)
    if (!wasJoined && told) expect(JSON.stringify(told)).not.toContain('m.room.create')
  }
}

for (const visibility of visibilities) {
  test(`history that is ${visibility}, for every membership and through every endpoint`, async () => {
    await using server = await startTestServer({ config: { search: { enabled: true } } })
    await using other = await startTestServer({ sharing: server })
    const owner = await server.register('owner')
    for (const [index, [name, steps]] of Object.entries(histories).entries()) {
      const reader = await server.register(`reader${index}`)
      const story = await tell(owner, reader, visibility, steps)
      await other.ctx.stream.catchUp()
      await check(other, reader, story).catch((error: unknown) => {
        throw new Error(`${visibility}, ${name}`, { cause: error })
      })
    }
  }, 120_000)
}
