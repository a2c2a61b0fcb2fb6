import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_FILTER_BYTES, MAX_PUSH_RULE_BYTES, MAX_PUSH_RULES } from '../matrix/limits.ts'
import { type Answer, startTestServer, type TestClient, type TestServer } from '../testing/index.ts'
import { endpoints } from './index.ts'

let server: TestServer
let alice: TestClient
let bob: TestClient

beforeAll(async () => {
  server = await startTestServer()
  alice = await server.register('alice')
  bob = await server.register('bob')
})
afterAll(() => server.close())

const of = (client: TestClient): string => encodeURIComponent(client.userId)
const error = (status: number, errcode: string) => ({ status, body: { errcode } })

/** Names that every object has, and what PostgreSQL cannot hold in a text. */
const awkward = '{"__proto__":{"polluted":1},"constructor":2,"toString":"\\u0000","\\u0000":{"__proto__":null}}'
const asStored = (json: unknown): string => JSON.stringify(json)

describe('names of Object.prototype and U+0000', () => {
  test('account data come back as they were stored', async () => {
    const room = await alice.createRoom()
    for (const base of [`/user/${of(alice)}`, `/user/${of(alice)}/rooms/${encodeURIComponent(room)}`]) {
      for (const type of ['m.test', '__proto__', 'constructor', 'toString']) {
        await alice.put(`${base}/account_data/${type}`, awkward)
        expect(asStored(await alice.get(`${base}/account_data/${type}`))).toBe(awkward)
      }
      expect((await alice.attempt('put', `${base}/account_data/a%00`, { body: {} })).status).toBe(400)
    }
    const { account_data: told } = await alice.sync()
    const types = told.events.map((event: Answer) => event.type)
    expect(types).toEqual(expect.arrayContaining(['__proto__', 'constructor', 'toString']))
    expect(({} as Answer).polluted).toBeUndefined()
  })

  test('tags', async () => {
    const base = `/user/${of(alice)}/rooms/${encodeURIComponent(await alice.createRoom())}/tags`
    const names = ['__proto__', 'constructor', 'toString']
    for (const tag of names) await alice.put(`${base}/${tag}`, { order: 0.5 })
    const { tags } = await alice.get(base)
    expect(Object.keys(tags).toSorted()).toEqual(names.toSorted())
    await alice.delete(`${base}/__proto__`)
    expect(Object.keys((await alice.get(base)).tags)).toHaveLength(2)
    expect((await alice.attempt('put', `${base}/a%00`, { body: {} })).status).toBe(400)
    expect((await alice.attempt('put', `${base}/u.x`, { body: '{"order":0.5,"other":"\\u0000"}' })).status).toBe(200)
    expect((await alice.get(base)).tags['u.x']).toEqual({ order: 0.5, other: '\0' })
  })

  test('fields of a profile', async () => {
    for (const key of ['__proto__', 'constructor', 'm.test']) {
      await alice.put(`/profile/${of(alice)}/${key}`, `{${JSON.stringify(key)}:${awkward}}`)
      const field = await bob.get(`/profile/${of(alice)}/${key}`)
      expect(asStored(field)).toBe(`{${JSON.stringify(key)}:${awkward}}`)
    }
    expect(await bob.attempt('get', `/profile/${of(alice)}/toString`)).toMatchObject(error(404, 'M_NOT_FOUND'))
    expect((await alice.attempt('put', `/profile/${of(alice)}/a%00`, { body: { 'a\0': 1 } })).status).toBe(400)
    await alice.createRoom({ preset: 'public_chat' })
    await alice.put(`/profile/${of(alice)}/displayname`, { displayname: 'a\0b' })
    expect((await bob.get(`/profile/${of(alice)}`)).displayname).toBe('a\0b')
    const found = await alice.post('/user_directory/search', { search_term: 'a\0b' })
    expect(found.results.every((one: Answer) => one.user_id.startsWith('@'))).toBe(true)
  })

  test('messages to devices', async () => {
    const { next_batch: since } = await bob.sync()
    const messages = `{"messages":{"${bob.userId}":{"${bob.deviceId}":${awkward}}}}`
    await alice.put('/sendToDevice/m.test/awkward', messages)
    const { events } = (await bob.sync({ since })).to_device
    expect(events.map(({ content }: Answer) => asStored(content))).toEqual([awkward])
    const named = `{"messages":{"${bob.userId}":{"a\\u0000":{}}}}`
    expect((await alice.attempt('put', '/sendToDevice/m.test/nul', { body: named })).status).toBeLessThan(500)
    expect((await alice.attempt('put', '/sendToDevice/a%00/type', { body: messages })).status).toBe(400)
  })

  test('one-time keys and queries', async () => {
    const keys = `{"one_time_keys":{"__proto__":"x","constructor:\\u0000":"y"}}`
    expect((await alice.attempt('post', '/keys/upload', { body: keys })).status).toBe(400)
    const asked = `{"device_keys":{"__proto__":[],"@constructor:a.test":["__proto__","\\u0000"]}}`
    expect((await alice.attempt('post', '/keys/query', { body: asked })).status).toBeLessThan(500)
    expect((await alice.attempt('get', '/publicRooms?__proto__=x&constructor=y&toString')).status).toBe(200)
    expect(({} as Answer).polluted).toBeUndefined()
  })

  test('names and ids of devices', async () => {
    const logIn = (body: object) =>
      server.request('post', '/_matrix/client/v3/login', {
        body: {
          type: 'm.login.password',
          identifier: { type: 'm.id.user', user: 'bob' },
          password: 'password of bob',
          ...body,
        },
      })
    expect((await logIn({ device_id: 'a\0' })).status).toBe(400)
    expect((await logIn({ initial_device_display_name: 'a\0' })).status).toBe(400)
    expect((await logIn({ identifier: { type: 'm.id.user', user: 'bob\0' } })).status).toBeLessThan(500)
    expect((await logIn({ password: 'password of bob\0' })).status).toBe(403)
    const rename = await bob.attempt('put', `/devices/${bob.deviceId}`, { body: { display_name: 'a\0' } })
    expect(rename.status).toBe(400)
  })
})

describe('sizes of profiles', () => {
  const set = (key: string, value: unknown) =>
    bob.attempt('put', `/profile/${of(bob)}/${encodeURIComponent(key)}`, { body: { [key]: value } })

  test.each([
    ['displayname', 256],
    ['avatar_url', 1000],
  ])('C11: %s has at most %d characters', async (key, longest) => {
    expect((await set(key, 'x'.repeat(longest))).status).toBe(200)
    expect((await set(key, 'x'.repeat(longest + 1))).status).toBe(400)
    for (const value of [5, ['x'], {}, true]) expect((await set(key, value)).status).toBe(400)
    expect((await bob.get(`/profile/${of(bob)}`))[key]).toBe('x'.repeat(longest))
  })

  test('C11: the name of a field has at most 255 bytes', async () => {
    expect((await set('k'.repeat(255), 1)).status).toBe(200)
    expect((await set('é'.repeat(127), 1)).status).toBe(200)
    expect(await set('k'.repeat(256), 1)).toMatchObject(error(400, 'M_KEY_TOO_LARGE'))
    expect(await set('é'.repeat(128), 1)).toMatchObject(error(400, 'M_KEY_TOO_LARGE'))
  })

  test('C11: a profile has at most 64 KiB, however it is filled', async () => {
    expect((await set('m.large', 'x'.repeat(40_000))).status).toBe(200)
    expect(await set('m.more', 'x'.repeat(30_000))).toMatchObject(error(400, 'M_PROFILE_TOO_LARGE'))
    expect((await set('m.large', null)).status).toBe(200)
  })
})

describe('filters', () => {
  const define = (filter: unknown) => alice.attempt('post', `/user/${of(alice)}/filter`, { body: filter })

  test.each([
    { room: [] },
    { room: { timeline: 'x' } },
    { room: { timeline: { limit: '5' } } },
    { room: { rooms: 'x' } },
    { room: { rooms: ['not a room'] } },
    { room: { not_rooms: [5] } },
    { room: { timeline: { types: 'x' } } },
    { room: { timeline: { senders: ['not a user'] } } },
    { room: { timeline: { rooms: ['not a room'] } } },
    { presence: { senders: [1] } },
    { account_data: 5 },
    { event_format: 'x' },
    { event_fields: [5] },
  ])('%j is refused', async (filter) => {
    expect((await define(filter)).status).toBe(400)
    expect((await alice.attempt('get', '/sync', { query: { filter: JSON.stringify(filter) } })).status).toBe(400)
  })

  test('C14: they are for their user alone', async () => {
    const { filter_id: id } = await alice.post(`/user/${of(alice)}/filter`, { room: { timeline: { limit: 3 } } })
    expect((await alice.get(`/user/${of(alice)}/filter/${id}`)).room.timeline.limit).toBe(3)
    expect((await bob.attempt('get', `/user/${of(alice)}/filter/${id}`)).status).toBe(403)
    expect((await bob.attempt('get', `/user/${of(bob)}/filter/${id}`)).status).toBe(404)
    expect((await bob.attempt('post', `/user/${of(alice)}/filter`, { body: {} })).status).toBe(403)
    for (const odd of ['x', '-1', '1.5', '99999999999', '__proto__']) {
      expect((await alice.attempt('get', `/user/${of(alice)}/filter/${odd}`)).status).toBe(404)
    }
  })

  test('C14: large ones are refused', async () => {
    const types = [`${'x'.repeat(MAX_FILTER_BYTES)}`]
    expect(await define({ room: { timeline: { types } } })).toMatchObject(error(413, 'M_TOO_LARGE'))
    expect((await define({ room: { timeline: { types: ['x'.repeat(10 * 1024 * 1024)] } } })).status).toBe(413)
  })
})

describe('push rules', () => {
  const put = (ruleId: string, body: object, query = '') =>
    alice.attempt('put', `/pushrules/global/content/${ruleId}${query}`, { body })
  const rule = { actions: ['notify'], pattern: 'x' }

  test('C17: a rule and its name have a size', async () => {
    expect((await put('r'.repeat(300), rule)).status).toBe(200)
    const long = await put('r'.repeat(301), rule)
    expect([400, 413]).toContain(long.status)
    expect((await put('large', { ...rule, pattern: 'x'.repeat(MAX_PUSH_RULE_BYTES) })).status).toBe(413)
    expect((await put('nul', { ...rule, pattern: 'a\0b' })).status).toBeLessThan(500)
  })

  test('C17: a full set takes no more, and everything else', async () => {
    const { ctx } = server
    const user = await ctx.database.db
      .selectFrom('users')
      .select('user_nid')
      .where('user_id', '=', alice.userId)
      .executeTakeFirstOrThrow()
    const rules = Array.from({ length: MAX_PUSH_RULES }, (_, index) => {
      return { rule_id: `r${index}`, enabled: true, actions: ['notify' as const], pattern: 'x' }
    })
    await ctx.pushRules.change({ userId: alice.userId, userNid: user.user_nid }, () => ({ rules: { content: rules } }))
    expect((await put('one-more', rule)).status).toBe(400)
    expect((await put('r7', rule, '?after=r9999')).status).toBe(200)
    expect(
      (await alice.attempt('put', '/pushrules/global/content/r7/enabled', { body: { enabled: false } })).status,
    ).toBe(200)
    expect((await alice.attempt('delete', '/pushrules/global/content/r8')).status).toBe(200)
    expect((await put('one-more', rule, '?after=r7')).status).toBe(200)
  })
})

describe('requests', () => {
  test.each([
    '/_matrix/INSERTED/client/v3/login',
    '/_matrix/client/INSERTED/v3/login',
    '/_matrix/client/v3/INSERTED/login',
    '/x/_matrix/client/v3/login',
    '/_matrix//client/v3/login',
    '/_matrix/client/v3/login/',
    '/_matrix/client/v3/Login',
    '/_matrix/client/v3/%6cogin%2f',
  ])('there is no %s', async (path) => {
    for (const method of ['get', 'post']) {
      const body = method === 'post' ? { body: {} } : {}
      expect(await server.request(method, path, body)).toMatchObject(error(404, 'M_UNRECOGNIZED'))
    }
  })

  test('C23: no endpoint that takes JSON takes a form', async () => {
    const headers = { 'content-type': 'Multipart/Form-Data; boundary=x' }
    const takers = endpoints.filter(({ method, raw }) => (method === 'post' || method === 'put') && !raw)
    const statuses: number[] = []
    for (const { method, paths } of takers) {
      const path = paths[0]!
        .replaceAll('{userId}', of(alice))
        .replaceAll('{roomId}', '!x:a.test')
        .replaceAll(/\{\w+\}/g, 'x')
      const { status } = await alice.attempt(method, path, { headers, body: '--x--' })
      // Who may not ask, and what is asked for amiss, is refused before the body is looked at.
      expect([path, [400, 403, 404, 415].includes(status)]).toEqual([path, true])
      statuses.push(status)
    }
    expect(statuses.filter((status) => status === 415).length).toBeGreaterThan(40)
  })
})
