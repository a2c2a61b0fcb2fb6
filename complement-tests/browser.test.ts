import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Page, startBrowser } from './browser.ts'
import { startDeployment } from './deployment.ts'
import { postJson } from './sdk-device.ts'

const passwordOf = (user: string) => `password of ${user}, long enough`
const text = JSON.stringify

async function register(url: string, user: string): Promise<{ user_id: string; access_token: string }> {
  const account = { username: user, password: passwordOf(user), auth: { type: 'm.login.dummy' } }
  return postJson(`${url}/_matrix/client/v3/register`, account)
}

/** Folder for pictures of what a person would see. */
const pictures = process.env.CHAPPE_TEST_PICTURES

async function picture(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`) })
}

test('two people in browsers log in, open rooms, read, send and talk encrypted', { timeout: 300_000 }, async () => {
  await using browser = await startBrowser()
  await using deployment = await startDeployment()
  const { url } = deployment
  const [alice, bob] = [await register(url, 'alice'), await register(url, 'bob')]
  const call = (user: typeof alice, method: string, path: string, body: object = {}) =>
    fetch(`${url}/_matrix/client/v3${path}`, {
      method,
      headers: { authorization: `Bearer ${user.access_token}`, 'content-type': 'application/json' },
      ...(method !== 'GET' && { body: JSON.stringify(body) }),
    }).then(async (answer) => {
      expect(answer.status).toBe(200)
      return (await answer.json()) as { room_id: string; chunk: { type: string }[] }
    })
  const shared = async (options: object): Promise<string> => {
    const { room_id: room } = await call(alice, 'POST', '/createRoom', { ...options, invite: [bob.user_id] })
    await call(bob, 'POST', `/join/${encodeURIComponent(room)}`)
    return room
  }
  const plain = await shared({ name: 'Hall' })
  const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
  const secret = await shared({ name: 'Cabinet', initial_state: [encryption] })
  for (let number = 0; number < 30; number++) {
    const message = { msgtype: 'm.text', body: `message ${number}.` }
    await call(bob, 'PUT', `/rooms/${encodeURIComponent(plain)}/send/m.room.message/${number}`, message)
  }
  const open = async (user: string): Promise<Page> => {
    const page = await browser.open()
    const query = new URLSearchParams({ homeserver: url, user, password: passwordOf(user) })
    await page.goto(`${browser.address}?${query}`)
    expect(await page.evaluate('app.userId()')).toBe(`@${user}:localhost`)
    return page
  }
  const show = (page: Page, room: string) => page.evaluate(`app.show(${text(room)})`)
  const send = (page: Page, body: string) => page.evaluate(`app.send(${text(body)})`)
  const sees = (page: Page, body: string) => page.getByText(body).first().waitFor()
  const [hers, his] = [await open('alice'), await open('bob')]

  await show(hers, plain)
  await sees(hers, 'message 29.')
  // What was said before is fetched as she looks further up.
  await hers.evaluate(`app.lookUp()`)
  await sees(hers, 'message 0.')
  await send(hers, 'sent from a browser')
  await show(his, plain)
  await sees(his, 'sent from a browser')
  await picture(his, 'hall')

  await show(hers, secret)
  await show(his, secret)
  await send(hers, 'encrypted hello')
  await sees(his, 'encrypted hello')
  await send(his, 'and back')
  await sees(hers, 'and back')
  await picture(hers, 'cabinet')
  const { chunk } = await call(alice, 'GET', `/rooms/${encodeURIComponent(secret)}/messages?dir=b&limit=2`)
  expect(chunk.map(({ type }) => type)).toEqual(['m.room.encrypted', 'm.room.encrypted'])
})
