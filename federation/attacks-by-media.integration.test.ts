import { expect, test } from 'vitest'
import { startCanary } from '../src/testing/canary.ts'
import { mediaRequest } from '../src/testing/media-requests.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { type HostileAnswer, startHostileServer } from './hostile-server.fixtures.ts'

const part = (content: string | Buffer, header = 'Content-Type: text/plain'): Buffer =>
  Buffer.concat([
    Buffer.from(`--b\r\n\r\n{}\r\n--b\r\n${header}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n--b--'),
  ])
const multipart = { 'content-type': 'multipart/mixed; boundary=b' }

test('M13: media that are larger than allowed, cut off, or not what they say', async () => {
  const limit = 100_000
  await using home = await startFederatedServer({}, { config: { media: { max_upload_size: limit } } })
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const answers: { [id: string]: HostileAnswer } = {
    tooLarge: { text: part('x'.repeat(limit * 3)), headers: multipart },
    toldSmall: { text: part('x'.repeat(limit * 3)), headers: { ...multipart, 'transfer-encoding': 'chunked' } },
    cut: { text: part('x').subarray(0, -8), headers: multipart },
    otherBoundary: { text: part('x'), headers: { 'content-type': 'multipart/mixed; boundary=c' } },
    noBoundary: { text: part('x'), headers: { 'content-type': 'multipart/mixed' } },
    empty: { text: '', headers: multipart },
    longHeaders: { text: part('x', `X-Long: ${'x'.repeat(100_000)}`), headers: multipart },
    longFirst: { text: `--b\r\n\r\n${'x'.repeat(1_000_000)}\r\n--b\r\n\r\nx\r\n--b--`, headers: multipart },
  }
  hostile.answer = ({ path }) => answers[/federation\/v1\/media\/download\/(\w+)\?/.exec(path)?.[1] ?? '']
  for (const id of Object.keys(answers)) {
    const path = `/_matrix/client/v1/media/download/${hostile.name}/${id}`
    for (let time = 0; time < 2; time++) {
      const { status } = await mediaRequest(alice, 'GET', path).catch(() => ({ status: 502 }))
      expect([id, status]).toEqual([id, expect.toSatisfy((code: number) => code === 404 || code === 502)])
    }
    const stored = await home.ctx.database.db.selectFrom('media').selectAll().execute()
    expect(stored, id).toEqual([])
  }
  answers.threeParts = {
    text: Buffer.concat([part('good').subarray(0, -2), Buffer.from('\r\n\r\nmore\r\n--b--')]),
    headers: multipart,
  }
  const good = await mediaRequest(alice, 'GET', `/_matrix/client/v1/media/download/${hostile.name}/threeParts`)
  expect([good.status, good.bytes.toString()]).toEqual([200, 'good'])
})

test('M14, M16: media that are said to be inside our network, and redirects', async () => {
  await using canary = await startCanary('127.0.0.2')
  await using home = await startFederatedServer({ allow_addresses: ['127.0.0.1/32'] })
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const inside = [
    `http://127.0.0.2:${canary.port}/`,
    `http://2130706434:${canary.port}/`,
    `http://0x7f.2:${canary.port}/`,
    `http://[::ffff:127.0.0.2]:${canary.port}/`,
    `https://127.0.0.2:${canary.port}/`,
    `http://${hostile.name}@127.0.0.2:${canary.port}/`,
    `${hostile.url}/redirect`,
    'file:///etc/passwd',
    '/etc/passwd',
    'data:text/plain,x',
  ]
  hostile.answer = ({ path }) => {
    if (path.startsWith('/redirect')) return { status: 302, headers: { location: inside[0]! } }
    const index = /federation\/v1\/media\/download\/(\d+)\?/.exec(path)?.[1]
    if (index !== undefined) return { text: part('', `Location: ${inside[Number(index)]}`), headers: multipart }
    return path.startsWith('/_matrix/media/') ? { status: 307, headers: { location: inside[0]! } } : undefined
  }
  for (const [index, location] of inside.entries()) {
    const { status } = await mediaRequest(alice, 'GET', `/_matrix/client/v1/media/download/${hostile.name}/${index}`)
    expect([location, status]).toEqual([location, expect.toSatisfy((code: number) => code === 404 || code === 502)])
  }
  expect(canary.visits()).toBe(0)
})
