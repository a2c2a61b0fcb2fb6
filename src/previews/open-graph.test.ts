import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { createPageReader } from './open-graph.ts'
import { readPage } from './read-page.ts'

function factsOf(html: string) {
  const reader = createPageReader()
  reader.read(html)
  return reader.facts()
}

function read(parts: readonly (string | Buffer)[], contentType = 'text/html', maxBytes = 1_000_000) {
  return readPage(Readable.from(parts.map((part) => Buffer.from(part as string))), contentType, maxBytes)
}

test('what a page says, and what stands for it', () => {
  expect(
    factsOf(`<title>Not this</title><meta property="og:title" content=" The &amp; Rock "><meta property='og:type' content=video>
      <meta property="og:image" content="/a.png"><meta property="og:video" content="http://elsewhere/"><meta name=description content="Text">`),
  ).toEqual({ properties: { 'og:title': 'The & Rock', 'og:description': 'Text', 'og:type': 'video' }, image: '/a.png' })
  expect(factsOf('<TITLE>Only\n this</TITLE><link rel="image_src" href="b.png">')).toEqual({
    properties: { 'og:title': 'Only this' },
    image: 'b.png',
  })
  const paragraph = 'A paragraph that is long enough to say something of the page.'
  const page = `<head><title>T</title></head><nav><p>${'menu '.repeat(20)}</p></nav><p>short</p><svg><title>no</title></svg><p>${paragraph}</p>`
  expect(factsOf(page).properties).toEqual({ 'og:title': 'T', 'og:description': paragraph })
  expect(
    factsOf('<meta property="og:title"><meta content="x"><meta property="__proto__" content="y">').properties,
  ).toEqual({})
  expect(factsOf('no page').properties).toEqual({})
})

test('texts are shortened', () => {
  const { properties } = factsOf(`<meta property="og:title" content="${'😀'.repeat(1000)}">`)
  expect(properties['og:title']!.length).toBeLessThanOrEqual(300)
  expect(properties['og:title']!.isWellFormed()).toBe(true)
})

test('a page that nests without end is read no further', () => {
  const started = performance.now()
  const reader = createPageReader()
  const nested = `<title>Before</title>${'<b>'.repeat(1_000_000)}`
  expect(reader.read(nested)).toBe(false)
  expect(reader.facts().properties).toEqual({ 'og:title': 'Before' })
  expect(performance.now() - started).toBeLessThan(1000)
  const wide = `<p ${Array.from({ length: 100_000 }, (_, index) => `a${index}=b`).join(' ')}><meta property="og:title" content="After">`
  expect(factsOf(wide).properties).toEqual({ 'og:title': 'After' })
  expect(
    factsOf(`<!DOCTYPE x [<!ENTITY a "${'x'.repeat(10)}"><!ENTITY b "&a;&a;&a;">]><title>&b;&b;</title>`).properties,
  ).toEqual({
    'og:title': '&b;&b;',
  })
})

test('encodings: of the mark, of the header, of the page, or UTF-8 with what is wrong replaced', async () => {
  const latin = Buffer.from('<title>Été</title>', 'latin1')
  expect((await read([latin], 'text/html; charset=ISO-8859-1')).properties).toEqual({ 'og:title': 'Été' })
  const inPage = Buffer.concat([Buffer.from('<meta charset=windows-1252>'), latin])
  expect((await read([inPage])).properties).toEqual({ 'og:title': 'Été' })
  const marked = Buffer.from('\ufeff<title>Été</title>', 'utf16le')
  expect((await read([marked.subarray(0, 7), marked.subarray(7)], 'text/html; charset=utf-8')).properties).toEqual({
    'og:title': 'Été',
  })
  expect((await read([latin], 'text/html; charset=nonsense')).properties).toEqual({ 'og:title': '�t�' })
  expect((await read([latin], 'text/html; charset="utf-8"')).properties).toEqual({ 'og:title': '�t�' })
  const split = Buffer.from('<title>Été</title>')
  expect((await read([...split].map((byte) => Buffer.from([byte])))).properties).toEqual({ 'og:title': 'Été' })
})

test('no more is read than is wanted', async () => {
  async function* endless() {
    yield Buffer.from('<title>Endless</title>')
    for (;;) yield Buffer.alloc(10_000, 'x ')
  }
  const body = Object.assign(endless(), { destroy: () => {} })
  expect((await readPage(body, 'text/html', 100_000)).properties).toEqual({ 'og:title': 'Endless' })
  async function* broken() {
    yield Buffer.from('<title>Broken</title><p>')
    throw new Error('gone')
  }
  expect((await readPage(Object.assign(broken(), { destroy: () => {} }), 'text/html', 1000)).properties).toEqual({
    'og:title': 'Broken',
  })
})
