import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { escapeHtml } from './html.ts'
import { languageOf, languages } from './languages.ts'
import { loadTemplates } from './templates.ts'

const values = { app_name: 'App', server_name: 'a.test', link: 'https://a.test/x', minutes: '60', user_id: '@a:a.test' }

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => word !== '')
const unescapeHtml = (html: string) =>
  html
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chappe-templates-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('there is each mail in each language, and nothing is left open in it', () => {
  const templates = loadTemplates(undefined)
  for (const language of languages) {
    for (const name of ['register', 'add', 'password', 'taken', 'notification'] as const) {
      const { subject, text, html } = templates.mail(name, language, {
        ...values,
        rooms: 'Hall',
        count: '1',
        unsubscribe: 'https://a.test/u',
      })
      expect(subject).not.toMatch(/[{}\n]/)
      expect(text).not.toMatch(/[{}]/)
      expect(text.length).toBeGreaterThan(50)
      expect(html).not.toMatch(/\{\{|\}\}/)
      expect(html).toContain(`<html lang="${language}">`)
      expect(html).toContain(`<title>${escapeHtml(subject)}</title>`)
      // The same words in the same order, whatever is around them.
      const shown = html.replace(/^[\s\S]*<body[^>]*>/, '').replaceAll(/<[^>]*>/g, '')
      expect(wordsOf(unescapeHtml(shown))).toEqual(wordsOf(text))
    }
  }
})

test('an operator’s template takes the place of ours', () => {
  writeFileSync(join(folder, 'register.fr.txt'), 'Bienvenue chez {{ app_name }}\r\n\r\nOuvrez {{link}}\r\n')
  const templates = loadTemplates(folder)
  expect(templates.mail('register', 'fr', values)).toEqual({
    subject: 'Bienvenue chez App',
    text: 'Ouvrez https://a.test/x\r\n',
    html: expect.stringContaining('<p>Ouvrez <a href="https://a.test/x">https://a.test/x</a></p>'),
  })
  expect(templates.mail('register', 'de', values).subject).toBe('Bestätigen Sie Ihre Adresse für App')
})

test('the frame of all mails in HTML can be replaced, and that of one', () => {
  writeFileSync(join(folder, 'mail.html'), '<b lang="{{language}}">{{subject}} of {{server_name}}</b>{{body}}')
  writeFileSync(join(folder, 'taken.fr.html'), '<a href="{{link}}">')
  expect(() => loadTemplates(folder)).toThrow('taken.fr.html names {{link}}')
  writeFileSync(join(folder, 'taken.fr.html'), '<i>{{user_id}}</i>')
  const templates = loadTemplates(folder)
  expect(templates.mail('add', 'de', values).html).toMatch(/^<b lang="de">.* of a\.test<\/b><p>Guten Tag,<\/p>\n<p>/)
  expect(templates.mail('taken', 'de', values).html).toMatch(/^<b lang="de">/)
  expect(templates.mail('taken', 'fr', values).html).toBe('<i>@a:a.test</i>')
  writeFileSync(join(folder, 'mail.html'), '{{link}}')
  expect(() => loadTemplates(folder)).toThrow('mail.html names {{link}}')
})

test('in HTML what users choose is text, and lists keep their lines', () => {
  const evil = `</title><img src=x onerror="alert('1')">`
  const { html } = loadTemplates(undefined).mail('notification', 'en', {
    ...values,
    app_name: evil,
    count: '2',
    unsubscribe: 'https://a.test/u?a=1&b="2"',
    rooms: `* ${evil} (2)\n    bob: \u202ehidden\n* {{link}} <b>`,
  })
  expect(html).not.toMatch(/<img|<b>|onerror="|\u202e/)
  expect(html).toContain('(2)<br>\n&nbsp;&nbsp;&nbsp;&nbsp;bob: hidden<br>\n* {{link}} &lt;b&gt;</p>')
  expect(html).toContain('<a href="https://a.test/u?a=1&amp;b=&quot;2&quot;">')
})

test('a template that names what there is not, or has no subject, is said at the start', () => {
  writeFileSync(join(folder, 'register.fr.txt'), 'Sujet\n\n{{password}}')
  expect(() => loadTemplates(folder)).toThrow('register.fr.txt names {{password}}')
  writeFileSync(join(folder, 'register.fr.txt'), '\n\n{{link}}')
  expect(() => loadTemplates(folder)).toThrow('register.fr.txt has no subject')
})

test('what users choose ends no subject and turns no line around', () => {
  writeFileSync(join(folder, 'taken.en.txt'), 'For {{user_id}}\n\n{{user_id}} is')
  const evil = '@a\r\nBcc: x@y.example\u202e\u0007:a.test'
  const { subject, text } = loadTemplates(folder).mail('taken', 'en', { ...values, user_id: evil })
  expect(subject).toBe('For @a Bcc: x@y.example:a.test')
  expect(text).toBe('@a\nBcc: x@y.example:a.test is')
})

test.each([
  [undefined, 'en'],
  ['fr', 'fr'],
  ['de-AT,de;q=0.9,en;q=0.8', 'de'],
  ['es, fr;q=0.3, de;q=0.7', 'de'],
  ['FR_fr', 'fr'],
  ['fr;q=0, de;q=0.1', 'de'],
  ['*', 'en'],
  ['es', 'en'],
  [';;;,q=,', 'en'],
] as const)('Accept-Language %s is answered in %s', (header, language) => {
  expect(languageOf(header, 'en')).toBe(language)
})
