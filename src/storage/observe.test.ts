import { expect, test } from 'vitest'
import { nameOfText } from './observe.ts'

test('a statement without a name is called by its verb and its first table', () => {
  expect(nameOfText('select "user_nid" from "accounts" where "user_nid" = $1')).toBe('select accounts')
  expect(nameOfText('insert into "devices" ("user_nid") values ($1)')).toBe('insert devices')
  expect(nameOfText('  update stream set position = position + $1')).toBe('update stream')
  expect(nameOfText('begin')).toBe('begin')
})
