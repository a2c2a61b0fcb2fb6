import { expect, test } from 'vitest'
import { passwordOf, startTestServer, type TestClient } from '../testing/index.ts'
import { proved, startMailing } from '../testing/mail-users.ts'

const address = 'alice@b.example'
const pusher = {
  kind: 'email',
  app_id: 'm.email',
  pushkey: address,
  app_display_name: 'Mail',
  device_display_name: address,
  lang: 'de',
  data: {},
}

async function withAddress(mailing: Parameters<typeof proved>[0], name = 'alice', email = address) {
  const client = await mailing.server.register(name)
  const creds = await proved(mailing, 'account/3pid', email)
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: client.userId },
    password: passwordOf(name),
  }
  await client.post('/account/3pid/add', { ...creds, auth })
  return client
}

const say = (client: TestClient, room: `!${string}`, body: string) =>
  client.send(room, 'm.room.message', { msgtype: 'm.text', body })

test('what is unread is mailed in one digest, without what was said', async () => {
  await using mailing = await startMailing({ digest_delay_seconds: 1 })
  const { server, mails } = mailing
  const alice = await withAddress(mailing)
  const bob = await server.register('bob')
  await alice.post('/pushers/set', pusher)
  expect((await alice.get('/pushers')).pushers).toMatchObject([{ kind: 'email', pushkey: address }])
  const [hall, quiet] = [
    await bob.createRoom({ name: 'Hall', preset: 'public_chat' }),
    await bob.createRoom({ preset: 'public_chat' }),
  ]
  for (const room of [hall, quiet]) await alice.join(room)
  await say(bob, hall, 'a secret word')
  await say(bob, hall, 'another one')
  await say(bob, quiet, 'a third')
  await bob.createRoom({ name: 'Cabinet', invite: [alice.userId] })
  const mail = await mails.next()
  expect(mail).toMatchObject({ to: address, subject: 'Matrix: 4 ungelesen' })
  expect(mail.text).toContain('* Hall (2)\n')
  expect(mail.text).toContain('* bob (1)\n')
  expect(mail.text).toContain('* Cabinet (1)\n')
  expect(mail.html).toContain('* Hall (2)<br>')
  for (const part of [mail.text, mail.html]) expect(part).not.toMatch(/secret|another|third/)
  const link = /<(https:[^>]+)>/.exec(mail.headers.get('list-unsubscribe')!)![1]!
  expect(mail.headers.get('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click')
  expect(mail.text).toContain(link)
  expect(mail.html).toContain(`<a href="${link}">`)
  const here = server.url + new URL(link).pathname + new URL(link).search
  expect(await (await fetch(here)).text()).toContain('<button')
  expect((await alice.get('/pushers')).pushers).toHaveLength(1)
  const wrong = await fetch(here.replace(/token=.*/, 'token=guess'), { method: 'post' })
  expect([wrong.status, (await alice.get('/pushers')).pushers.length]).toEqual([200, 1])
  expect(
    (await fetch(here, { method: 'post', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) })).status,
  ).toBe(200)
  expect((await alice.get('/pushers')).pushers).toEqual([])
  const items = await server.ctx.database.db.selectFrom('mail_digests').selectAll().execute()
  expect(JSON.stringify(items)).not.toContain('secret')
})

test('what was read meanwhile is not mailed, and what was said is where the operator wants it', async () => {
  await using mailing = await startMailing({ digest_delay_seconds: 1, include_content: true })
  const { server, mails } = mailing
  const alice = await withAddress(mailing)
  const bob = await server.register('bob')
  await alice.post('/pushers/set', { ...pusher, lang: 'fr' })
  const [read, unread] = [
    await bob.createRoom({ name: 'Read', preset: 'public_chat' }),
    await bob.createRoom({ name: 'Unread', preset: 'public_chat' }),
  ]
  for (const room of [read, unread]) await alice.join(room)
  const { event_id: event } = await say(bob, read, 'seen')
  await say(bob, unread, 'first line\nsecond line')
  await alice.post(`/rooms/${encodeURIComponent(read)}/receipt/m.read/${encodeURIComponent(event)}`)
  const mail = await mails.next()
  expect(mail.subject).toBe('Matrix : 1 non lu(s)')
  expect(mail.text).toContain('* Unread (1)\n    bob: first line second line\n')
  expect(mail.text).not.toContain('seen')
})

test('a digest outlives its process, and a mail server that is away', async () => {
  await using mailing = await startMailing({ digest_delay_seconds: 1 })
  const { server, mails } = mailing
  const alice = await withAddress(mailing)
  const bob = await server.register('bob')
  await alice.post('/pushers/set', pusher)
  const room = await bob.createRoom({ name: 'Hall', preset: 'public_chat' })
  await alice.join(room)
  mails.refuses = true
  await say(bob, room, 'x')
  const failed = async () => {
    const [row] = await server.ctx.database.db.selectFrom('mail_digests').selectAll().execute()
    return row?.failures === 1 && row.due_at > Date.now() + 30_000
  }
  await expect.poll(failed, { timeout: 10_000 }).toBe(true)
  mails.refuses = false
  await server.ctx.database.db.updateTable('mail_digests').set({ due_at: 0 }).execute()
  await say(bob, room, 'y')
  expect((await mails.next()).text).toContain('* Hall (2)')
})

test('mail goes to the user’s own address alone, and ends with it', async () => {
  await using mailing = await startMailing({ digest_delay_seconds: 1 })
  const { server } = mailing
  const alice = await withAddress(mailing)
  const bob = await server.register('bob')
  const set = (client: TestClient, over: object) =>
    client.attempt('post', '/pushers/set', { body: { ...pusher, ...over } })
  expect((await set(bob, {})).body.errcode).toBe('M_THREEPID_NOT_FOUND')
  expect((await set(alice, { pushkey: 'other@b.example' })).body.errcode).toBe('M_THREEPID_NOT_FOUND')
  expect((await set(alice, { app_id: 'org.test' })).body.errcode).toBe('M_INVALID_PARAM')
  expect((await set(alice, {})).status).toBe(200)
  await alice.post('/account/3pid/delete', { medium: 'email', address })
  expect((await alice.get('/pushers')).pushers).toEqual([])
})

test('operators can do without', async () => {
  await using mailing = await startMailing({ notifications: false })
  const alice = await withAddress(mailing)
  expect((await alice.attempt('post', '/pushers/set', { body: pusher })).body.errcode).toBe('M_INVALID_PARAM')
})

test('of two processes one sends, and what it leaves the other does', async () => {
  await using mailing = await startMailing({ digest_delay_seconds: 2 }, { redis: true })
  const { server, mails } = mailing
  const other = await startTestServer({ sharing: server })
  const alice = await withAddress(mailing)
  const bob = await server.register('bob')
  await other.adopt(alice).post('/pushers/set', pusher)
  const room = await bob.createRoom({ name: 'Hall', preset: 'public_chat' })
  await alice.join(room)
  await say(other.adopt(bob), room, 'x')
  const gathered = async () => (await server.ctx.database.db.selectFrom('mail_digests').selectAll().execute()).length
  await expect.poll(gathered, { timeout: 10_000 }).toBe(1)
  // Whichever it was that gathered it, or would have sent it.
  await other.close()
  expect((await mails.next()).text).toContain('* Hall (1)')
  await expect.poll(gathered, { timeout: 10_000 }).toBe(0)
  expect(mails.received).toHaveLength(2)
})
