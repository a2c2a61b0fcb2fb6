import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'
import { download, upload } from '../../testing/media-requests.ts'

const size = 100 * 1024 * 1024

/** The most memory this process had while something ran, over what it had before; in MB. */
async function growthDuring(run: () => Promise<string>): Promise<[number, string]> {
  const before = process.memoryUsage.rss()
  let most = before
  const sampling = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, 5)
  const result = await run()
  clearInterval(sampling)
  return [(most - before) / 1e6, result]
}

/** A client in a process of its own, so that only the server's memory is measured here. */
async function inClient(code: string, ...parameters: string[]): Promise<string> {
  const script = `
    import { createHash } from 'node:crypto'
    const [url, token] = process.argv.slice(1)
    const headers = { authorization: 'Bearer ' + token }
    const size = ${size}
    const chunk = Buffer.alloc(65536, 'abcdefg')
    ${code}`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, ...parameters])
  return stdout.trim()
}

const uploading = `
  let left = size
  const sent = createHash('sha256')
  const body = new ReadableStream({
    pull(controller) {
      sent.update(chunk)
      controller.enqueue(chunk)
      left -= chunk.length
      if (left === 0) controller.close()
    },
  })
  const response = await fetch(url, { method: 'POST', headers, body, duplex: 'half' })
  console.log((await response.json()).content_uri, sent.digest('hex'))`

const downloading = `
  const received = createHash('sha256')
  const response = await fetch(url, { headers })
  for await (const part of response.body) received.update(part)
  console.log(response.headers.get('content-length'), received.digest('hex'))`

test('100 MB go through in bounded memory, both ways', async () => {
  await using server = await startTestServer({ config: { media: { max_upload_size: size } } })
  const alice = await server.register('alice')
  const upload = () => inClient(uploading, `${server.url}/_matrix/media/v3/upload`, alice.accessToken)
  // The first one fills what the allocator and the collector keep for the next.
  await upload()
  const [grownUp, sent] = await growthDuring(upload)
  const [uri, hash] = sent.split(' ')
  const path = `/_matrix/client/v1/media/download/${uri!.slice('mxc://'.length)}`
  const [grownDown, received] = await growthDuring(() => inClient(downloading, server.url + path, alice.accessToken))
  expect(received).toBe(`${size} ${hash}`)
  // What a process does beside; no share of what went through.
  expect(grownUp).toBeLessThan(25)
  expect(grownDown).toBeLessThan(25)
  console.log(
    `Memory grew by ${grownUp.toFixed(0)} MB while 100 MB came, and by ${grownDown.toFixed(0)} MB while they went`,
  )
})

test('many at once get each their own content, while others leave in the midst of theirs', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const contents = Array.from({ length: 12 }, (_, index) => Buffer.alloc(600_000 + index, `content ${index} `))
  const names = await Promise.all(contents.map((content) => upload(alice, content)))
  const url = (name: string) => `${server.url}/_matrix/client/v1/media/download/${name}`
  const headers = { authorization: `Bearer ${alice.accessToken}` }
  for (let round = 0; round < 3; round++) {
    const leaving = names.map(async (name) => {
      const response = await fetch(url(name), { headers })
      await response.body!.cancel()
    })
    const answers = await Promise.all(names.map((name) => download(alice, name)))
    await Promise.all(leaving)
    for (const [index, { bytes }] of answers.entries()) expect(bytes.equals(contents[index]!)).toBe(true)
  }
})
