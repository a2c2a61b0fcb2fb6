import type { Json, JsonObject } from './json.ts'
import { hasLooseNumbers, looseNumbersIn } from './loose-numbers.ts'

/**
 * The one encoding of a JSON value that all servers hash and sign: no white space, keys in code point order, no more
 * escapes than needed.
 *
 * Spec: Appendices, "Canonical JSON" (v1.19).
 */
export function canonicalJson(value: Json): string {
  // What was stored or sent canonical is parsed with its keys in order, and then the runtime's own encoder is right.
  return isInOrder(value) ? JSON.stringify(value) : encode(value)
}

/** What `JSON.stringify` writes, but for numbers of old room versions, which stay as they came. */
export function jsonText(value: Json): string {
  return hasLooseNumbers(value) ? encode(value) : JSON.stringify(value)
}

/** {@link canonicalJson} in UTF-8. */
export function canonicalBytes(value: Json): Buffer {
  return Buffer.from(canonicalJson(value))
}

/** A negative number when `a` comes before `b` by code points, where JavaScript compares UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Code points beyond U+FFFF are written with surrogates, so these go after all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit
}

/** Whether `JSON.stringify` would write the value as it must be. */
function isInOrder(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (looseNumbersIn(value) !== undefined) return false
  if (Array.isArray(value)) return (value as readonly Json[]).every(isInOrder)
  let previous: string | undefined
  for (const key in value as JsonObject) {
    if (previous !== undefined && !isBefore(previous, key)) return false
    if (!isInOrder((value as JsonObject)[key] as Json)) return false
    previous = key
  }
  return true
}

function isBefore(a: string, b: string): boolean {
  return needsCodePoints(a) || needsCodePoints(b) ? compareCodePoints(a, b) < 0 : a < b
}

/** Below the surrogates the two orders are the same. */
function needsCodePoints(key: string): boolean {
  return /[\ud800-\uffff]/.test(key)
}

function encode(value: Json): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const loose = looseNumbersIn(value)
  if (Array.isArray(value)) {
    return `[${(value as readonly Json[]).map((item, i) => loose?.get(String(i)) ?? encode(item)).join(',')}]`
  }
  const keys = Object.keys(value)
  if (keys.some(needsCodePoints)) keys.sort(compareCodePoints)
  else keys.sort()
  let text = '{'
  for (const key of keys) {
    if (text.length > 1) text += ','
    text += `${quote(key)}:${loose?.get(key) ?? encode((value as JsonObject)[key] as Json)}`
  }
  return `${text}}`
}

function quote(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
  return /["\\\u0000-\u001f\ud800-\udfff]/.test(text) ? JSON.stringify(text) : `"${text}"`
}
