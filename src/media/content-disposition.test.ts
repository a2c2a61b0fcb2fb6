import { expect, test } from 'vitest'
import { contentDisposition } from './content-disposition.ts'

test.each([
  ['image/png', 'inline'],
  [' IMAGE/PNG ', 'inline'],
  ['text/plain; charset=utf-8', 'inline'],
  ['image/svg+xml', 'attachment'],
  ['text/html', 'attachment'],
  ['TEXT/HTML', 'attachment'],
  ['text/html;a=b', 'attachment'],
  ['application/xhtml+xml', 'attachment'],
  ['application/pdf', 'attachment'],
  ['image/png,text/html', 'attachment'],
  ['', 'attachment'],
])('M02: %s is served %s', (type, expected) => {
  expect(contentDisposition(type, undefined)).toBe(expected)
})

test.each([
  ['ascii.txt', 'filename="ascii.txt"'],
  ['with spaces; and more.txt', 'filename="with spaces; and more.txt"'],
  ['façade 🦊.png', "filename*=UTF-8''fa%C3%A7ade%20%F0%9F%A6%8A.png"],
  ['a"b.txt', "filename*=UTF-8''a%22b.txt"],
  ['a\r\nSet-Cookie: x', "filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"],
  ["it's (1)*.txt", 'filename="it\'s (1)*.txt"'],
  ["é'(1)*", "filename*=UTF-8''%C3%A9%27%281%29%2A"],
  ['\ud800', "filename*=UTF-8''%EF%BF%BD"],
])('the name %j', (name, expected) => {
  expect(contentDisposition('text/plain', name)).toBe(`inline; ${expected}`)
})
