import { isUtf8 } from 'node:buffer'
import { MatrixError } from './errors.ts'
import type { Json, JsonObject } from './json.ts'
import { MAX_JSON_DEPTH, MAX_JSON_MEMBERS } from './limits.ts'
import { keepLooseNumber, looseNumbersIn } from './loose-numbers.ts'

export type ParseOptions = {
  /**
   * `strict` (the default) takes only the numbers canonical JSON can hold; `any` also floats and large numbers, which
   * room versions 1 to 5 permitted. A text with events of several rooms is parsed with `any`, and each event then held
   * to its room version with {@link hasCanonicalNumbers}.
   */
  readonly integers?: 'strict' | 'any'
  /** Objects and arrays within one another. */
  readonly maxDepth?: number
  /** Members of all objects together. */
  readonly maxMembers?: number
}

/**
 * Parses JSON and refuses what servers would read differently from one another: numbers that are not integers within
 * ±(2⁵³−1), negative zero, an object with the same key twice, strings with lone surrogates.
 *
 * `JSON.parse` reads such numbers and keys without a word, so the text is scanned first for its numbers, its depth and
 * the number of its members, and the result is compared with that number. Keys such as `__proto__` are plain data.
 *
 * Errors: `M_NOT_JSON` if the text is not JSON, `M_BAD_JSON` if it is JSON we refuse, `M_TOO_LARGE` for too many members.
 * Spec: Appendices, "Canonical JSON" (v1.19).
 */
export function parseJson(text: string, options: ParseOptions = {}): Json {
  const scan = scanText(text, options)
  const value = parse(text, scan.looseNumber)
  if (scan.badNumber !== undefined) throw new MatrixError('M_BAD_JSON', `Not a valid number: ${scan.badNumber}`)
  if (scan.members > 1 && countMembers(value) !== scan.members) {
    throw new MatrixError('M_BAD_JSON', 'An object has the same key twice')
  }
  // A surrogate is either in the text itself, or escaped; a pair may even be half one and half the other.
  const mayBeMalformed = !text.isWellFormed() || (scan.escapes && /\\u[dD][89a-fA-F]/.test(text))
  if (mayBeMalformed && someString(value, (string) => !string.isWellFormed())) {
    throw new MatrixError('M_BAD_JSON', 'A string is not valid Unicode')
  }
  return value
}

/**
 * {@link parseJson} of the bytes of a body. Errors: also `M_NOT_JSON` for bytes that are not UTF-8, which decoding would
 * otherwise replace without a word.
 */
export function parseJsonBytes(bytes: Buffer, options: ParseOptions = {}): Json {
  if (!isUtf8(bytes)) throw new MatrixError('M_NOT_JSON', 'The content is not UTF-8')
  return parseJson(bytes.toString(), options)
}

/** Whether a string or a key in it contains U+0000, which PostgreSQL cannot store in text. */
export function containsNul(json: Json): boolean {
  return someString(json, (string) => string.includes('\0'))
}

/**
 * Whether canonical JSON can hold the numbers in `json` as they were written: `1.0` has become 1 in a tree parsed with
 * `integers: 'any'`, but is no integer.
 */
export function hasCanonicalNumbers(json: Json): boolean {
  if (typeof json === 'number') return Number.isSafeInteger(json) && !Object.is(json, -0)
  if (typeof json !== 'object' || json === null) return true
  if (looseNumbersIn(json) !== undefined) return false
  if (Array.isArray(json)) return (json as readonly Json[]).every(hasCanonicalNumbers)
  for (const key in json) if (!hasCanonicalNumbers((json as JsonObject)[key] as Json)) return false
  return true
}

function parse(text: string, hasLooseNumbers: boolean): Json {
  try {
    if (!hasLooseNumbers) return JSON.parse(text) as Json
    return JSON.parse(text, function (this: object, key, value: Json, context?: { readonly source?: string }) {
      if (context?.source !== undefined && typeof value === 'number' && !isCanonicalNumber(context.source)) {
        keepLooseNumber(this, key, context.source)
      }
      return value
    }) as Json
  } catch {
    throw new MatrixError('M_NOT_JSON', 'The content is not JSON')
  }
}

type Scan = {
  readonly members: number
  /** The first that is refused. */
  readonly badNumber: string | undefined
  /** Whether there are numbers that are taken though canonical JSON could not hold them. */
  readonly looseNumber: boolean
  readonly escapes: boolean
}

/**
 * Finds the structure of a text without judging whether it is JSON: that is for `JSON.parse` to say. Only what would cost
 * too much to parse, or to walk, is refused here.
 */
function scanText(text: string, options: ParseOptions): Scan {
  const { integers = 'strict', maxDepth = MAX_JSON_DEPTH, maxMembers = MAX_JSON_MEMBERS } = options
  const escapes = text.includes('\\')
  const length = text.length
  let badNumber: string | undefined
  let looseNumber = false
  let members = 0
  let depth = 0
  let i = 0
  while (i < length) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      i = endOfString(text, i, escapes)
    } else if (code === BRACE_OPEN || code === BRACKET_OPEN) {
      if ((depth += 1) > maxDepth) throw new MatrixError('M_BAD_JSON', `Nested more than ${maxDepth} deep`)
      i += 1
    } else if (code === BRACE_CLOSE || code === BRACKET_CLOSE) {
      depth -= 1
      i += 1
    } else if (code === MINUS || isDigit(code)) {
      const start = i
      do i += 1
      while (i < length && isInNumber(text.charCodeAt(i)))
      // Up to fifteen digits cannot be out of range; nearly all numbers are.
      if (badNumber === undefined && !isPlainInteger(text, start, i)) {
        const number = text.slice(start, i)
        if (isCanonicalNumber(number)) continue
        if (integers === 'strict' || Math.abs(Number(number)) === Number.POSITIVE_INFINITY)
          badNumber = number.slice(0, 40)
        else looseNumber = true
      }
    } else {
      if (code === COLON && (members += 1) > maxMembers) throw new MatrixError('M_TOO_LARGE', 'Too many members')
      i += 1
    }
  }
  return { members, badNumber, looseNumber, escapes }
}

/** The index after the closing quote of the string that opens at `start`, or after the text. */
function endOfString(text: string, start: number, escapes: boolean): number {
  let end = text.indexOf('"', start + 1)
  if (escapes) {
    while (end > 0 && isEscaped(text, start, end)) end = text.indexOf('"', end + 1)
  }
  return end < 0 ? text.length : end + 1
}

function isEscaped(text: string, start: number, quote: number): boolean {
  let i = quote - 1
  while (i > start && text.charCodeAt(i) === BACKSLASH) i -= 1
  return (quote - 1 - i) % 2 === 1
}

function isPlainInteger(text: string, start: number, end: number): boolean {
  if (end - start > 15) return false
  for (let i = start; i < end; i += 1) if (!isDigit(text.charCodeAt(i))) return false
  return true
}

function isCanonicalNumber(source: string): boolean {
  const value = Number(source)
  return /^-?[0-9]+$/.test(source) && Number.isSafeInteger(value) && !Object.is(value, -0)
}

/** The members of all objects in a tree already known to be shallow. */
function countMembers(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) if (typeof item === 'object') count += countMembers(item)
    return count
  }
  const object = value as { readonly [key: string]: Json }
  for (const key in object) {
    const member = object[key] as Json
    count += typeof member === 'object' ? 1 + countMembers(member) : 1
  }
  return count
}

/** Whether `test` holds for any string in the tree, keys included. */
function someString(value: Json, test: (string: string) => boolean): boolean {
  if (typeof value === 'string') return test(value)
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return (value as readonly Json[]).some((item) => someString(item, test))
  return Object.entries(value).some(([key, member]) => test(key) || someString(member, test))
}

const QUOTE = 0x22
const COLON = 0x3a
const MINUS = 0x2d
const BACKSLASH = 0x5c
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const BRACKET_OPEN = 0x5b
const BRACKET_CLOSE = 0x5d

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** Digits and the signs, point and letter of a float. */
function isInNumber(code: number): boolean {
  return isDigit(code) || code === 0x2e || code === 0x2b || code === MINUS || code === 0x65 || code === 0x45
}
