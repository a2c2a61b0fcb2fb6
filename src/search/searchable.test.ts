import { expect, test } from 'vitest'
import { searchableWords, wordsOf, writtenWords } from './searchable.ts'

test('words are letters and digits of any script, without case and accents', () => {
  const words = ['l', 'ete', 'c', 'est', 'b', 'maintenant', 'b', 'x2', '10', '5']
  expect(wordsOf("L'été, c’est <b>MAINTENANT</b>!\0 x2 10.5")).toEqual(words)
  expect(wordsOf('Привет мир')).toEqual(['привет', 'мир'])
  expect(wordsOf('東京abc')).toEqual(['東', '京', 'abc'])
  expect(wordsOf(`' & | ! :* () \\ \ud800 ${'x'.repeat(256)}`)).toEqual([])
  expect(writtenWords('Été ou ete, été!', new Set(['ete']))).toEqual(['Été', 'ete', 'été'])
})

test('what of an event is searched', () => {
  const content = { body: 'Hello', name: 'Name', topic: 'Topic' }
  expect(searchableWords({ type: 'm.room.message', content })).toEqual({ key: 'content.body', words: ['hello'] })
  expect(searchableWords({ type: 'm.room.name', content })).toEqual({ key: 'content.name', words: ['name'] })
  expect(searchableWords({ type: 'm.room.topic', content })).toEqual({ key: 'content.topic', words: ['topic'] })
  expect(searchableWords({ type: 'm.room.encrypted', content })).toBeUndefined()
  expect(searchableWords({ type: 'm.room.message', content: { body: 1 } })).toBeUndefined()
  expect(searchableWords({ type: 'm.room.message', content: { body: ' ?! ' } })).toBeUndefined()
})
