import { Parser } from 'htmlparser2'
import { MAX_DEPTH, MAX_TEXT, MAX_TITLE, PARSED_AT_ONCE } from './limits.ts'

/** What a page says of itself. */
export type PageFacts = {
  /** Of the properties that are passed on, by their names with `og:`. */
  readonly properties: { readonly [name: string]: string }
  /** As it stands there. */
  readonly image: string | undefined
}

/**
 * Of https://ogp.me what clients show and what names nothing that they would fetch by themselves: images are passed on only as
 * media of ours.
 */
const passedOn = [
  'og:title',
  'og:description',
  'og:site_name',
  'og:type',
  'og:url',
  'og:locale',
  'og:image:alt',
] as const

/** What stands for a property that is not there, the first first. */
const substitutes: Readonly<Record<string, readonly string[]>> = {
  'og:title': ['twitter:title', 'title'],
  'og:description': ['twitter:description', 'description', 'paragraph'],
  'og:image': ['og:image:secure_url', 'og:image:url', 'twitter:image', 'twitter:image:src', 'image_src'],
  'og:image:alt': ['twitter:image:alt'],
}

/** Elements whose text is not shown. */
const unread = new Set(['script', 'style', 'noscript', 'template', 'svg', 'nav', 'header', 'footer', 'aside', 'form'])

/** Reads a page piece by piece, for as long as it has something new to tell. */
export type PageReader = {
  /** @returns whether more is wanted. */
  read(text: string): boolean
  facts(): PageFacts
}

export function createPageReader(): PageReader {
  const found = new Map<string, string>()
  let [depth, hidden, isDone] = [0, 0, false]
  let collecting: { name: string; text: string } | undefined

  const note = (name: string | undefined, value: string | undefined): void => {
    const key = name?.trim().toLowerCase()
    const text = value?.trim()
    if (key !== undefined && text && key.length <= 50 && !found.has(key)) found.set(key, text.slice(0, 4 * MAX_TEXT))
  }
  const endText = (): void => {
    const text = collecting?.text.replaceAll(/\s+/g, ' ').trim() ?? ''
    // Short ones are no paragraphs.
    if (collecting?.name !== 'paragraph' || text.length >= 40) note(collecting?.name, text)
    collecting = undefined
  }

  const parser = new Parser({
    onopentag(name, attributes) {
      if (++depth > MAX_DEPTH) isDone = true
      if (unread.has(name)) hidden++
      if (name === 'meta') note(attributes.property ?? attributes.name, attributes.content)
      if (name === 'link' && attributes.rel === 'image_src') note('image_src', attributes.href)
      if (name === 'title' && hidden === 0) collecting = { name: 'title', text: '' }
      if (name === 'p' && hidden === 0 && !found.has('paragraph')) collecting = { name: 'paragraph', text: '' }
    },
    ontext(text) {
      if (collecting && hidden === 0 && collecting.text.length < MAX_TEXT * 2) collecting.text += text
    },
    onclosetag(name) {
      depth--
      if (unread.has(name)) hidden = Math.max(hidden - 1, 0)
      if (name === 'title' || name === 'p') endText()
      const isTold = textOf(found, 'og:title') && textOf(found, 'og:description')
      if (isTold && (name === 'head' || found.has('paragraph'))) isDone = true
    },
  })

  return {
    read(text) {
      for (let at = 0; at < text.length && !isDone; at += PARSED_AT_ONCE) {
        parser.write(text.slice(at, at + PARSED_AT_ONCE))
      }
      return !isDone
    },
    facts() {
      endText()
      const properties = passedOn.flatMap((name) => {
        const value = textOf(found, name)
        return value === undefined ? [] : [[name, shortened(value, name === 'og:title' ? MAX_TITLE : MAX_TEXT)]]
      })
      return { properties: Object.fromEntries(properties), image: textOf(found, 'og:image') }
    },
  }
}

function textOf(found: ReadonlyMap<string, string>, name: string): string | undefined {
  return [name, ...(substitutes[name] ?? [])].map((one) => found.get(one)).find((value) => value !== undefined)
}

function shortened(text: string, limit: number): string {
  const whole = text.toWellFormed().replaceAll('\0', '')
  return whole.length <= limit ? whole : `${whole.slice(0, limit - 1).toWellFormed()}…`
}
