import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { mediaRequest, upload } from '../src/testing/media-requests.ts'
import { signedRequest } from './federated-server.fixtures.ts'
import { pair } from './two-servers.fixtures.ts'

const v1 = '/_matrix/client/v1/media'

test('media of another server come with their type and name, once', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const content = Buffer.from('state papers '.repeat(50_000))
  const media = await upload(alice, content, { type: 'text/plain', name: 'été ☃.txt' })
  const [first, again] = await Promise.all([
    mediaRequest(bob, 'GET', `${v1}/download/${media}`),
    mediaRequest(bob, 'GET', `${v1}/download/${media}`),
  ])
  expect([first.status, again.status]).toEqual([200, 200])
  expect(first.bytes.equals(content) && again.bytes.equals(content)).toBe(true)
  expect(first.headers.get('content-type')).toBe('text/plain')
  expect(first.headers.get('content-disposition')).toBe("inline; filename*=UTF-8''%C3%A9t%C3%A9%20%E2%98%83.txt")
  await one.close()
  expect((await mediaRequest(bob, 'GET', `${v1}/download/${media}`)).bytes.equals(content)).toBe(true)
})

test('thumbnails of another server’s images; what it does not have is not found', async () => {
  await using servers = await pair()
  const { alice, bob, one } = servers
  const image = await sharp({ create: { width: 640, height: 480, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const media = await upload(alice, image, { type: 'image/png', name: 'red.png' })
  const small = await mediaRequest(bob, 'GET', `${v1}/thumbnail/${media}?width=32&height=32&method=scale`)
  expect([small.status, small.headers.get('content-type')]).toEqual([200, 'image/png'])
  expect((await sharp(small.bytes).metadata()).width).toBe(320)
  const [server] = media.split('/')
  expect((await mediaRequest(bob, 'GET', `${v1}/download/${server}/nothing`)).status).toBe(404)
  const asked = `/_matrix/federation/v1/media/download/${media.split('/')[1]}`
  expect((await fetch(one.url + asked)).status).toBe(401)
})

test('only what the asked domain has is served, to servers that are federated with', async () => {
  await using servers = await pair({}, { domains: 2 })
  const { one, other, bob } = servers
  const carol = await one.register('carol', { domain: one.ctx.domains.all[1]! })
  const media = (await upload(carol, 'papers', { type: 'text/plain' })).split('/')[1]!
  expect((await mediaRequest(bob, 'GET', `${v1}/download/${one.ctx.domains.all[1]}/${media}`)).bytes.toString()).toBe(
    'papers',
  )
  const ask = (destination: string) =>
    signedRequest(other, one, 'GET', `/_matrix/federation/v1/media/download/${media}`, { destination })
  expect((await ask(one.ctx.domains.all[0]!)).status).toBe(404)
})

test('a server that lies about its media harms nobody', async () => {
  await using servers = await pair()
  const { bob } = servers
  const answers: { [id: string]: { type?: string; body: string } } = {
    short: {
      type: 'multipart/mixed; boundary=b',
      body: '--b\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\ncut of',
    },
    onePart: { type: 'multipart/mixed; boundary=b', body: '--b\r\n\r\n{}\r\n--b--' },
    inside: {
      type: 'multipart/mixed; boundary=b',
      body: '--b\r\n\r\n{}\r\n--b\r\nLocation: http://[::1]:9/\r\n\r\n\r\n--b--',
    },
    file: {
      type: 'multipart/mixed; boundary=b',
      body: '--b\r\n\r\n{}\r\n--b\r\nLocation: file:///etc/passwd\r\n\r\n\r\n--b--',
    },
  }
  const liar = createServer((request, response) => {
    const answer = answers[/download\/(\w+)\?/.exec(request.url!)?.[1] ?? '']
    response.writeHead(answer && request.url!.startsWith('/_matrix/federation/') ? 200 : 404, {
      'content-type': answer?.type ?? 'application/json',
    })
    response.end(answer?.body ?? '{}')
  })
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve))
  const server = `127.0.0.1:${(liar.address() as AddressInfo).port}`
  const download = (id: string) => mediaRequest(bob, 'GET', `${v1}/download/${server}/${id}`)
  try {
    for (const id of Object.keys(answers)) {
      const { status } = await download(id)
      expect([id, status]).toEqual([id, expect.toSatisfy((code: number) => code === 404 || code === 502)])
    }
  } finally {
    liar.close()
  }
})
