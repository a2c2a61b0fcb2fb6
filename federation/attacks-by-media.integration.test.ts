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

test('M02: media of another server that a browser would run', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const types = [
    'image/svg+xml',
    'text/html',
    'TEXT/HTML',
    ' text/html;a=b',
    'application/xhtml+xml',
    'text/xml',
    'application/javascript',
    'image/png, text/html',
    'nonsense',
    '',
  ]
  const page = '<script>alert(1)</script>'
  hostile.answer = ({ path }) => {
    const index = /federation\/v1\/media\/download\/(\d+)\?/.exec(path)?.[1]
    const header = `Content-Type: ${types[Number(index)]}\r\nContent-Disposition: inline; filename="x.html"`
    return index === undefined ? undefined : { text: part(page, header), headers: multipart }
  }
  for (const [index, type] of types.entries()) {
    for (const place of ['client/v1/media/download', 'media/v3/download']) {
      const { status, headers } = await mediaRequest(alice, 'GET', `/_matrix/${place}/${hostile.name}/${index}`)
      expect([type, status]).toEqual([type, 200])
      expect(headers.get('content-disposition'), type).toMatch(/^attachment/)
      expect(headers.get('content-security-policy'), type).toContain('sandbox')
      expect(headers.get('x-content-type-options'), type).toBe('nosniff')
    }
  }
})

test('M07: a user who has much fetched from other servers has to wait, and nobody else', async () => {
  const rates = { enabled: true, remote_media: { per_second: 0.001, burst_count: 2 } }
  const generous = { per_second: 1000, burst_count: 1000 }
  const logins = { registration: generous, login_address: generous, login_account: generous }
  await using home = await startFederatedServer({}, { config: { rate_limits: { ...logins, ...rates } } })
  await using hostile = await startHostileServer()
  const [alice, bob] = [await home.register('alice'), await home.register('bob')]
  hostile.answer = ({ path }) =>
    path.includes('/media/download/') ? { text: part(Buffer.alloc(400_000, 0x20)), headers: multipart } : undefined
  const get = async (client: Parameters<typeof mediaRequest>[0], id: string): Promise<[number, string | undefined]> => {
    const { status, json } = await mediaRequest(
      client,
      'GET',
      `/_matrix/client/v1/media/download/${hostile.name}/${id}`,
    )
    return [status, json?.errcode]
  }
  const limited = [429, 'M_LIMIT_EXCEEDED']
  for (const id of ['one', 'two', 'three']) expect(await get(alice, id)).toEqual([200, undefined])
  expect(await get(alice, 'four')).toEqual(limited)
  // What is here already costs nothing, and others have what they may have.
  expect(await get(alice, 'one')).toEqual([200, undefined])
  expect(await get(bob, 'four')).toEqual([200, undefined])
  expect(await get(alice, 'four')).toEqual([200, undefined])
  // Without a user it is the address that counts.
  const statuses: number[] = []
  for (const id of ['five', 'six', 'seven', 'eight']) {
    const path = `/_matrix/media/v3/download/${hostile.name}/${id}`
    statuses.push((await mediaRequest({ base: alice.base }, 'GET', path)).status)
  }
  expect(statuses).toEqual([200, 200, 200, 429])
  expect(hostile.asked.filter(({ path }) => path.includes('/media/download/')).length).toBeLessThan(8)
})
