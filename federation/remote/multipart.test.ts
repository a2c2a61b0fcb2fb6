import fc from 'fast-check'
import { expect, test } from 'vitest'
import { boundaryOf, secondPart } from './multipart.ts'

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(body: Buffer, boundary: string, size = 7) {
  const { headers, content } = await secondPart(inChunks(body, size), boundary)
  const chunks: Buffer[] = []
  for await (const chunk of content) chunks.push(chunk)
  return { headers, bytes: Buffer.concat(chunks) }
}

function mixed(boundary: string, content: Buffer, before = ''): Buffer {
  return Buffer.concat([
    Buffer.from(`${before}--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary} \r\n`),
    Buffer.from('Content-Type: image/png\r\nContent-Disposition: inline\r\n\r\n'),
    content,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
}

test('the second part comes out as it went in, however it is cut into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 90 }), async (bytes, size) => {
      const { headers, bytes: found } = await read(mixed('b', Buffer.from(bytes)), 'b', size)
      // What looks like the end of the part is its end.
      const end = Buffer.from(bytes).indexOf('\r\n--b')
      expect(found).toEqual(Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)))
      expect([...headers]).toEqual([
        ['content-type', 'image/png'],
        ['content-disposition', 'inline'],
      ])
    }),
  )
})

test('a preamble is passed over, headers may be missing', async () => {
  expect((await read(mixed('xyz', Buffer.from('content'), 'for old readers\r\n'), 'xyz')).bytes.toString()).toBe(
    'content',
  )
  const bare = Buffer.from('--b\r\n\r\n{}\r\n--b\r\n\r\ncontent\r\n--b--')
  const { headers, bytes } = await read(bare, 'b')
  expect([headers.size, bytes.toString()]).toEqual([0, 'content'])
})

test('bodies that are cut off, have one part or are endless are errors', async () => {
  const whole = mixed('b', Buffer.from('content'))
  await expect(read(whole.subarray(0, whole.length - 12), 'b')).rejects.toThrow('ends too early')
  await expect(read(Buffer.from('--b\r\n\r\n{}\r\n--b--\r\n'), 'b')).rejects.toThrow('too few parts')
  await expect(read(Buffer.alloc(200_000), 'b', 60_000)).rejects.toThrow('too long')
  const headers = Buffer.concat([Buffer.from('--b\r\n\r\n{}\r\n--b\r\nA: '), Buffer.alloc(100_000, 'a')])
  await expect(read(headers, 'b', 60_000)).rejects.toThrow('too long')
})

test('boundaries', () => {
  expect(boundaryOf('multipart/mixed; boundary=abc')).toBe('abc')
  expect(boundaryOf('Multipart/Mixed; charset=utf-8; boundary="a b"')).toBe('a b')
  expect(boundaryOf('multipart/form-data; boundary=abc')).toBeUndefined()
  expect(boundaryOf('multipart/mixed')).toBeUndefined()
  expect(boundaryOf(`multipart/mixed; boundary=${'a'.repeat(71)}`)).toBeUndefined()
  expect(boundaryOf(undefined)).toBeUndefined()
})
