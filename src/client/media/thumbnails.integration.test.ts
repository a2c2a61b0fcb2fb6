import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'
import { mediaRequest, thumbnailOf, upload } from '../../testing/media-requests.ts'

function image(width: number, height: number, alpha = 1): Sharp {
  const channels = alpha === 1 ? 3 : 4
  return sharp({ create: { width, height, channels, background: { r: 200, g: 100, b: 50, alpha } } })
}

/** Frames under one another, each of its own colour. */
function animation(frames: number): Promise<Buffer> {
  const [width, height] = [60, 40]
  const raw = Buffer.alloc(width * height * frames * 3, 0)
  for (let frame = 0; frame < frames; frame++) {
    raw.fill((frame * 47) % 256, frame * width * height * 3, (frame + 1) * width * height * 3)
  }
  const input = { raw: { width, height: height * frames, channels: 3 as const, pageHeight: height } }
  return sharp(raw, input).gif().toBuffer()
}

async function sizeOf(bytes: Buffer): Promise<string> {
  const { format, width, height, pages } = await sharp(bytes, { animated: true }).metadata()
  return `${format} ${width}×${pages === undefined ? height : height / pages}${pages === undefined ? '' : ` ${pages}`}`
}

test('sizes, methods and formats', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const jpeg = await upload(alice, await image(1200, 600).jpeg().toBuffer(), { type: 'application/octet-stream' })
  const png = await upload(alice, await image(400, 400, 0.5).png().toBuffer(), { type: 'image/svg+xml' })
  const webp = await upload(alice, await image(400, 400).webp().toBuffer())
  const expected: [string, string, string][] = [
    [jpeg, 'width=32&height=32&method=crop', 'jpeg 32×32'],
    [jpeg, 'width=90&height=90&method=crop', 'jpeg 96×96'],
    [jpeg, 'width=320&height=240&method=scale', 'jpeg 480×240'],
    [jpeg, 'width=321&height=240', 'jpeg 960×480'],
    [jpeg, 'width=1600&height=1200', 'jpeg 1200×600'],
    [jpeg, 'width=5000&height=5000', 'jpeg 1200×600'],
    [png, 'width=96&height=96&method=crop', 'png 96×96'],
    [png, 'width=320&height=240', 'png 320×320'],
    [webp, 'width=320&height=240', 'jpeg 320×320'],
    [webp, 'width=800&height=600', 'webp 400×400'],
  ]
  for (const [media, query, size] of expected) {
    const answer = await thumbnailOf(alice, media, query)
    expect(answer.status, query).toBe(200)
    expect(await sizeOf(answer.bytes), query).toBe(size)
    const format = size.split(' ')[0]!
    expect(answer.headers.get('content-type')).toBe(`image/${format}`)
    expect(answer.headers.get('content-disposition')).toMatch(/^inline; filename="thumbnail\.\w+"$/)
    expect(answer.headers.get('content-security-policy')).toMatch(/^sandbox/)
  }
  for (const path of ['v3', 'r0', 'v1']) {
    const legacy = await mediaRequest(
      { base: server.url },
      'GET',
      `/_matrix/media/${path}/thumbnail/${jpeg}?width=9&height=9`,
    )
    expect(legacy.status).toBe(200)
  }
  for (const query of [
    'width=-1&height=3',
    'width=a&height=3',
    'height=3',
    'width=0&height=3',
    'width=1&height=1&method=x',
  ]) {
    expect((await thumbnailOf(alice, jpeg, query)).status, query).toBe(400)
  }
})

test('a photograph is shown upright, and says nothing of where it was taken', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const photo = await image(1200, 600)
    .withExif({ IFD0: { Orientation: '6', Copyright: 'somebody' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
  const { bytes } = await thumbnailOf(alice, await upload(alice, photo), 'width=320&height=240')
  const shown = await sharp(bytes).metadata()
  expect([shown.width, shown.height, shown.exif, shown.orientation]).toEqual([320, 640, undefined, undefined])
})

test('animations move only for those who want it', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const media = await upload(alice, await animation(5))
  const query = 'width=32&height=32&method=crop'
  expect(await sizeOf((await thumbnailOf(alice, media, query)).bytes)).toBe('png 32×32')
  expect(await sizeOf((await thumbnailOf(alice, media, `${query}&animated=true`)).bytes)).toBe('webp 32×32 5')
  expect(await sizeOf((await thumbnailOf(alice, media, 'width=96&height=96')).bytes)).toBe('png 60×40')
  expect(await sizeOf((await thumbnailOf(alice, media, 'width=96&height=96&animated=true')).bytes)).toBe('gif 60×40 5')
})

test('what is asked for at once is made once, and then kept', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const media = await upload(alice, await image(2000, 2000).png().toBuffer())
  const { thumbnailer } = server.ctx.media
  const make = thumbnailer.make
  let made = 0
  Object.assign(thumbnailer, {
    make: (...parameters: Parameters<typeof make>) => {
      made++
      return make(...parameters)
    },
  })
  const ask = () => thumbnailOf(alice, media, 'width=96&height=96&method=crop')
  const answers = await Promise.all([ask(), ask(), ask(), ask()])
  expect(new Set(answers.map(({ bytes }) => bytes.toString('base64'))).size).toBe(1)
  expect((await ask()).status).toBe(200)
  expect(made).toBe(1)
})

/** A PNG of one colour that takes a few kilobytes, whatever its size. */
function hugePng(side: number): Buffer {
  const crcTable = Array.from({ length: 256 }, (_, value) => {
    let crc = value
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    return crc >>> 0
  })
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data])
    let crc = 0xffffffff
    for (const byte of body) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff]!
    const framed = Buffer.alloc(body.length + 8)
    framed.writeUInt32BE(data.length, 0)
    body.copy(framed, 4)
    framed.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4)
    return framed
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header[8] = 1
  const rows = deflateSync(Buffer.alloc((1 + Math.ceil(side / 8)) * side))
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))])
}

test('M04: images made to exhaust the server', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const query = 'width=32&height=32&method=crop'
  await thumbnailOf(alice, await upload(alice, await image(10, 10).png().toBuffer()), query)
  const before = process.memoryUsage.rss()
  const bomb = await upload(alice, hugePng(20_000))
  for (let round = 0; round < 2; round++) {
    expect(await thumbnailOf(alice, bomb, query)).toMatchObject({ status: 413, json: { errcode: 'M_TOO_LARGE' } })
  }
  const long = await animation(60)
  const repeated = Buffer.concat([
    long.subarray(0, -1),
    ...Array.from({ length: 300 }, () => framesOf(long)),
    Buffer.from(';'),
  ])
  for (const frames of ['', '&animated=true']) {
    expect([200, 400, 413]).toContain((await thumbnailOf(alice, await upload(alice, repeated), query + frames)).status)
  }
  const exif = Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    ...Array.from({ length: 200 }, () =>
      Buffer.concat([Buffer.from([0xff, 0xe1, 0xff, 0xff]), Buffer.alloc(65_533, 'x')]),
    ),
    (await image(100, 100).jpeg().toBuffer()).subarray(2),
  ])
  expect([200, 400]).toContain((await thumbnailOf(alice, await upload(alice, exif), query)).status)
  expect((process.memoryUsage.rss() - before) / 1e6).toBeLessThan(200)
})

/** What is between the header of a GIF and its end. */
function framesOf(gif: Buffer): Buffer {
  return gif.subarray(gif.indexOf(Buffer.from([0x21, 0xf9])), -1)
}

test('M05: only four formats are decoded, by what they are and not what they are called', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const whole = await image(100, 100).png().toBuffer()
  const contents: { readonly [name: string]: Buffer } = {
    tiff: await image(100, 100).tiff().toBuffer(),
    avif: await image(100, 100).avif({ effort: 0 }).toBuffer(),
    svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"/>'),
    pdf: Buffer.from('%PDF-1.7\n%%EOF'),
    ps: Buffer.from('%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage'),
    ppm: Buffer.from(`P6 1 1 255\n${'x'.repeat(30)}`),
    bmp: Buffer.concat([Buffer.from('BM'), Buffer.alloc(100)]),
    psd: Buffer.concat([Buffer.from('8BPS'), Buffer.alloc(100)]),
    empty: Buffer.alloc(0),
    cut: whole.subarray(0, 40),
    'a signature only': Buffer.concat([whole.subarray(0, 8), Buffer.alloc(100)]),
    'svg behind gif': Buffer.from('GIF89a<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
  }
  for (const [name, content] of Object.entries(contents)) {
    const answer = await thumbnailOf(alice, await upload(alice, content, { type: 'image/png' }), 'width=32&height=32')
    expect(answer, name).toMatchObject({ status: 400, json: { errcode: 'M_UNKNOWN' } })
  }
})

test('the process that decodes has none of our environment, and its end is not ours', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const query = 'width=32&height=32&method=crop'
  await thumbnailOf(alice, await upload(alice, await image(100, 100).png().toBuffer()), query)
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
  const decoder = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('thumbnail-process'))!
  const environment = readFileSync(`/proc/${decoder}/environ`, 'utf8')
    .split('\0')
    .map((entry) => entry.split('=')[0])
  expect(environment.filter((name) => name !== '' && !/^(NODE_|MALLOC_|UV_)/.test(name!))).toEqual([])
  process.kill(Number(decoder), 'SIGKILL')
  const next = await upload(alice, await image(200, 100).png().toBuffer())
  await expect.poll(async () => (await thumbnailOf(alice, next, query)).status).toBe(200)
})
