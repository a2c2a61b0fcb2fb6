import { expect, test } from 'vitest'
import { startAdministered } from '../../testing/administration.ts'
import { startTestServer } from '../../testing/index.ts'
import { download, upload } from '../../testing/media-requests.ts'

const enc = encodeURIComponent
const admin = '/_synapse/admin/v1'

test('media are taken out of use one by one, by user and by room, unless protected', async () => {
  const { server, root } = await startAdministered({ redis: true })
  await using _ = server
  await using other = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const there = other.adopt(alice)
  const [one, two, three] = [
    await upload(alice, 'one', { name: 'a.txt' }),
    await upload(alice, 'two'),
    await upload(alice, 'three'),
  ]
  const works = async (media: string) => (await download(there, media)).status
  expect(await Promise.all([one, two, three].map(works))).toEqual([200, 200, 200])

  expect(await root.post(`${admin}/media/quarantine/${one}`)).toEqual({ num_quarantined: 1 })
  expect(await Promise.all([one, two, three].map(works))).toEqual([404, 200, 200])
  expect((await root.get(`${admin}/media/${one}`)).media_info).toMatchObject({
    media_origin: null,
    user_id: alice.userId,
    media_id: one.split('/')[1],
    media_length: 3,
    upload_name: 'a.txt',
    quarantined_by: root.userId,
    safe_from_quarantine: false,
  })
  expect(await root.post(`${admin}/media/unquarantine/${one}`)).toEqual({})
  expect(await works(one)).toBe(200)

  expect(await root.post(`${admin}/media/protect/${two.split('/')[1]}`)).toEqual({})
  expect(await root.post(`${admin}/user/${enc(alice.userId)}/media/quarantine`)).toEqual({ num_quarantined: 2 })
  expect(await Promise.all([one, two, three].map(works))).toEqual([404, 200, 404])
  await root.post(`${admin}/media/unprotect/${two.split('/')[1]}`)
  for (const media of [one, three]) await root.post(`${admin}/media/unquarantine/${media}`)

  const room = await alice.createRoom()
  await alice.send(room, 'm.room.message', { msgtype: 'm.file', body: 'x', url: `mxc://${two}` })
  await alice.send(room, 'm.room.message', { msgtype: 'm.image', body: 'x', url: 'mxc://elsewhere.test/abc' })
  expect(await root.get(`${admin}/room/${enc(room)}/media`)).toEqual({
    local: [`mxc://${two}`],
    remote: ['mxc://elsewhere.test/abc'],
  })
  expect(await root.post(`${admin}/room/${enc(room)}/media/quarantine`)).toEqual({ num_quarantined: 1 })
  expect(await Promise.all([one, two, three].map(works))).toEqual([200, 404, 200])

  expect(await root.post(`${admin}/media/quarantine/a.test/none`)).toEqual({ num_quarantined: 0 })
  for (const path of ['media/protect/none', 'media/unprotect/none', 'user/@nobody:a.test/media/quarantine']) {
    expect((await root.attempt('post', `${admin}/${path}`, { body: {} })).status, path).toBe(404)
  }
  expect((await root.attempt('get', `${admin}/media/a.test/none`)).status).toBe(404)
})

test('what was taken out of use and put back is told in order, a page after the other', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const changes = async (from = 0) => root.get(`${admin}/media/quarantine_changes`, { from })
  expect(await changes()).toEqual({ next_batch: 0, changes: [] })
  const one = await upload(alice, 'one')
  const two = await upload(alice, 'two')
  const change = (media: string, quarantined: boolean) => {
    const [origin, mediaId] = media.split('/')
    return { origin, media_id: mediaId, quarantined }
  }
  await root.post(`${admin}/media/quarantine/${one}`)
  await root.post(`${admin}/media/quarantine/${one}`)
  await root.post(`${admin}/media/unquarantine/${one}`)
  const first = await changes()
  expect(first.changes).toEqual([change(one, true), change(one, false)])
  await root.post(`${admin}/media/quarantine/${two}`)
  const next = await changes(first.next_batch)
  expect(next.changes).toEqual([change(two, true)])
  expect(await changes(next.next_batch)).toEqual({ next_batch: next.next_batch, changes: [] })
  for (let time = 0; time < 50; time++) {
    for (const action of ['unquarantine', 'quarantine']) await root.post(`${admin}/media/${action}/${two}`)
  }
  expect((await changes(first.next_batch)).changes).toHaveLength(100)
  expect((await root.attempt('get', `${admin}/media/quarantine_changes?from=x`)).status).toBe(400)
  expect((await alice.attempt('get', `${admin}/media/quarantine_changes`)).status).not.toBe(200)
})

test('media are listed and deleted: by name, by user, by age and size', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const media: string[] = []
  for (const size of [10, 20, 30, 40]) media.push(await upload(alice, 'x'.repeat(size), { name: `${size}.txt` }))
  const path = `${admin}/users/${enc(alice.userId)}/media`
  const names = async (query: Record<string, string | number> = {}) =>
    (await root.get(path, query)).media.map((one: { upload_name: string }) => one.upload_name)
  expect(await names({ order_by: 'media_length', dir: 'b' })).toEqual(['40.txt', '30.txt', '20.txt', '10.txt'])
  expect(await root.get(path, { limit: 3 })).toMatchObject({ total: 4, next_token: '3' })
  for (const order of [
    'media_id',
    'created_ts',
    'last_access_ts',
    'media_type',
    'quarantined_by',
    'safe_from_quarantine',
  ]) {
    expect(await names({ order_by: order }), order).toHaveLength(4)
  }
  expect((await root.attempt('get', path, { query: { order_by: 'sha256' } })).status).toBe(400)

  const statistics = `${admin}/statistics/users/media`
  expect(await root.get(statistics)).toEqual({
    users: [{ user_id: alice.userId, displayname: 'alice', media_count: 4, media_length: 100 }],
    total: 1,
  })
  expect((await root.get(statistics, { search_term: 'LIC', order_by: 'media_length', dir: 'b' })).total).toBe(1)
  expect((await root.get(statistics, { until_ts: 1 })).total).toBe(0)
  expect((await root.attempt('get', statistics, { query: { order_by: 'x' } })).status).toBe(400)

  expect(await root.delete(`${admin}/media/${media[0]}`)).toEqual({
    deleted_media: [media[0]!.split('/')[1]],
    total: 1,
  })
  expect((await download(alice, media[0]!)).status).toBe(404)
  expect((await root.attempt('delete', `${admin}/media/${media[0]}`)).status).toBe(404)

  await alice.put(`/profile/${enc(alice.userId)}/avatar_url`, { avatar_url: `mxc://${media[3]}` })
  const before = Date.now() + 60_000
  const old = (query: string) => root.post(`${admin}/media/delete?before_ts=${before}&${query}`)
  expect((await old('size_gt=25')).deleted_media).toEqual([media[2]!.split('/')[1]])
  expect((await old('size_gt=25&keep_profiles=false')).deleted_media).toEqual([media[3]!.split('/')[1]])
  expect((await root.attempt('post', `${admin}/media/delete?before_ts=1000`, { body: {} })).status).toBe(400)
  const elsewhere = `${admin}/media/elsewhere.test/delete?before_ts=${before}`
  expect((await root.attempt('post', elsewhere, { body: {} })).status).toBe(400)
  expect((await root.attempt('post', `${admin}/purge_media_cache?before_ts=${before}`, { body: {} })).body).toEqual({
    deleted: 0,
  })
  expect(await root.delete(path)).toMatchObject({ total: 1 })
  expect(await names()).toEqual([])
})

test('the same content is out of use under every name, but where it is protected', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const [one, copy, seal] = [await upload(alice, 'same'), await upload(bob, 'same'), await upload(root, 'same')]
  await root.post(`${admin}/media/protect/${seal.split('/')[1]}`)
  await root.post(`${admin}/media/quarantine/${one}`)
  const works = async (media: string) => (await download(bob, media)).status
  const later = await upload(alice, 'same', { name: 'later.txt' })
  expect(await Promise.all([one, copy, later, seal].map(works))).toEqual([404, 404, 404, 200])
  expect(await works(await upload(alice, 'another'))).toBe(200)
  await root.post(`${admin}/media/unquarantine/${one}`)
  expect(await Promise.all([one, copy, later, seal].map(works))).toEqual([200, 200, 200, 200])
})
