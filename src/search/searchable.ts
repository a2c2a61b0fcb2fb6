import { foldText } from '../matrix/fold-text.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { SearchKey } from '../storage/searchable-events.ts'

/** What is searched in which events. Spec: Client-Server API, "Server Side Search", "Search Categories". */
const keysByType: ReadonlyMap<string, { readonly key: SearchKey; readonly field: string }> = new Map([
  ['m.room.message', { key: 'content.body', field: 'body' }],
  ['m.room.name', { key: 'content.name', field: 'name' }],
  ['m.room.topic', { key: 'content.topic', field: 'topic' }],
])

/** Scripts without spaces between words: each character is a word. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/gu
const separators = /[^\p{L}\p{N}\p{M}]+/gu
/** Characters of a word; longer ones are no words. */
const maxWord = 255

/** The words by which an event is found; undefined for what is not searched. */
export function searchableWords(event: {
  readonly type: string
  readonly content: JsonObject
}): { readonly key: SearchKey; readonly words: readonly string[] } | undefined {
  const searched = keysByType.get(event.type)
  const text = searched && event.content[searched.field]
  if (typeof text !== 'string') return undefined
  const words = wordsOf(text)
  return words.length === 0 ? undefined : { key: searched!.key, words }
}

/** The words of a text, without case and accents, in their order: letters, digits and marks, nothing else. */
export function wordsOf(text: string): string[] {
  return foldText(text.toWellFormed())
    .replaceAll(unspaced, ' $& ')
    .split(separators)
    .filter((word) => word !== '' && word.length <= maxWord)
}

/** The words of a text, as they are written there, that are among some words. */
export function writtenWords(text: string, words: ReadonlySet<string>): string[] {
  const written = text.replaceAll(unspaced, ' $& ').split(separators)
  return written.filter((word) => word !== '' && words.has(foldText(word)))
}
