import { expect, test } from 'vitest'
import { filenameOf } from './content-disposition.ts'

test.each([
  ['inline', undefined],
  ['inline; filename=plain.png', 'plain.png'],
  ['attachment; filename="with space.png"', 'with space.png'],
  ['attachment; filename="with \\"quotes\\".png"', 'with "quotes".png'],
  ["inline; filename*=UTF-8''%E2%98%83.png", '☃.png'],
  ['inline; filename="x.png"; filename*=utf-8\'fr\'%C3%A9.png', 'é.png'],
  ["inline; filename*=iso-8859-1''%E9.png", 'é.png'],
  ["inline; filename*=utf-8''%E9.png; filename=fallback.png", 'fallback.png'],
  ['inline; filename=""', undefined],
  [`inline; filename=${'a'.repeat(5000)}`, undefined],
])('%s', (header, name) => {
  expect(filenameOf(header)).toBe(name)
})
