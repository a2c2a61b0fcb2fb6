import { LogService, MatrixClient, RichConsoleLogger } from 'matrix-bot-sdk'
import { expect, test } from 'vitest'
import { startDeployment } from './deployment.ts'
import { eventIn, register, withBody } from './sdk-device.ts'

/** matrix-bot-sdk, without encryption, since that part of it is a binary it fetches itself. */
async function startBot(baseUrl: string): Promise<MatrixClient> {
  LogService.setLogger({
    ...new RichConsoleLogger(),
    info() {},
    debug() {},
    trace() {},
    warn() {},
    error() {},
  } as never)
  const answer = await fetch(`${baseUrl}/_matrix/client/v3/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      username: 'bot',
      password: 'the password of a bot',
      auth: { type: 'm.login.dummy' },
      inhibit_login: true,
    }),
  })
  expect(answer.status).toBe(200)
  const login = await fetch(`${baseUrl}/_matrix/client/v3/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bot' },
      password: 'the password of a bot',
    }),
  })
  const { access_token: token } = (await login.json()) as { access_token: string }
  return new MatrixClient(baseUrl, token)
}

test('a bot of another hand logs in, joins when it is invited, answers and uploads', { timeout: 60_000 }, async () => {
  await using deployment = await startDeployment()
  const bot = await startBot(deployment.url)
  const botId = await bot.getUserId()
  bot.on('room.invite', (roomId: string) => bot.joinRoom(roomId))
  bot.on('room.message', async (roomId: string, event: { sender: string; content: { body?: string } }) => {
    if (event.sender === botId || event.content.body !== '!picture') return
    const url = await bot.uploadContent(Buffer.from('not really a picture'), 'text/plain', 'picture.txt')
    await bot.sendMessage(roomId, { msgtype: 'm.file', body: 'here it is', url })
  })
  await bot.start()
  const alice = await register(deployment.url, 'alice')
  try {
    const { room_id: roomId } = await alice.client.createRoom({ invite: [botId] })
    await eventIn(alice, roomId, (event) => event.getStateKey() === botId && event.getContent().membership === 'join')
    await alice.client.sendTextMessage(roomId, '!picture')
    const answer = await eventIn(alice, roomId, withBody('here it is'))
    const address = alice.client.mxcUrlToHttp(
      answer.getContent().url,
      undefined,
      undefined,
      undefined,
      false,
      true,
      true,
    )
    const file = await fetch(address!, { headers: { authorization: `Bearer ${alice.client.getAccessToken()}` } })
    expect(await file.text()).toBe('not really a picture')
  } finally {
    alice.stop()
    bot.stop()
  }
})
