import { MatrixError } from './errors.ts'

/** An element of one of the lists, as its text was. */
export type ListElement = { readonly list: string; readonly bytes: Buffer }

export type JsonListLimits = {
  /** Bytes of one element. */
  readonly element: number
  /** Bytes of everything that is in no list. */
  readonly rest: number
}

const code = (character: string): number => character.charCodeAt(0)
const [quote, backslash, comma, colon] = [code('"'), code('\\'), code(','), code(':')]
const [openBrace, closeBrace, openBracket, closeBracket] = [code('{'), code('}'), code('['), code(']')]

/** What is expected next, outside of values. */
type Place = 'start' | 'key' | 'colon' | 'value' | 'afterValue' | 'element' | 'afterElement' | 'end'

/**
 * Takes a JSON object apart as its bytes come, where some of its members are lists too long to be parsed at once: their
 * elements come out one by one, the other members together at the end. What an element is inside is not looked at.
 *
 * Errors: `M_NOT_JSON` for what is no object or has a list twice, `M_TOO_LARGE` for what is larger than the limits.
 */
export class JsonLists {
  readonly #lists: ReadonlySet<string>
  readonly #limits: JsonListLimits
  readonly #seen = new Set<string>()
  readonly #rest: Buffer[] = []
  #restLength = 0
  #place: Place = 'start'
  /** The list that is read, or the key of the member. */
  #key = ''
  /** Of the value that is read: objects and arrays that are open, whether it is in a string, and behind a backslash. */
  #depth = 0
  #inString = false
  #escaped = false
  /** What has been read of the key, the value or the element. */
  #parts: Buffer[] = []
  #length = 0
  /** Where it goes on in these bytes; -1 where nothing is read. */
  #from = -1
  #found: ListElement[] = []

  /** @param lists The members whose elements are wanted. */
  constructor(lists: readonly string[], limits: JsonListLimits) {
    this.#lists = new Set(lists)
    this.#limits = limits
  }

  /** @returns the elements that end in these bytes. */
  push(bytes: Buffer): ListElement[] {
    this.#found = []
    if (this.#from >= 0) this.#from = 0
    let at = 0
    while (at < bytes.length) at = this.#from >= 0 ? this.#inValue(bytes, at) : this.#between(bytes, at)
    if (this.#from >= 0) this.#keep(bytes, bytes.length)
    return this.#found
  }

  /** @returns the other members, as the text of an object. */
  end(): Buffer {
    if (this.#place !== 'end') throw notJson()
    return Buffer.concat([Buffer.from('{'), ...this.#rest, Buffer.from('}')])
  }

  #between(bytes: Buffer, at: number): number {
    const byte = bytes[at]!
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return at + 1
    switch (this.#place) {
      case 'start':
        if (byte !== openBrace) throw notJson()
        this.#place = 'key'
        return at + 1
      case 'key':
        if (byte === closeBrace && this.#seen.size === 0) return this.#closed(at)
        if (byte !== quote) throw notJson()
        return this.#begin(at)
      case 'colon':
        if (byte !== colon) throw notJson()
        this.#place = 'value'
        return at + 1
      case 'value':
        if (!this.#lists.has(this.#key) || byte !== openBracket) return this.#begin(at)
        this.#place = 'element'
        return at + 1
      case 'element':
        if (byte !== closeBracket) return this.#begin(at)
        this.#place = 'afterValue'
        return at + 1
      case 'afterElement':
        if (byte === comma) this.#place = 'element'
        else if (byte === closeBracket) this.#place = 'afterValue'
        else throw notJson()
        return at + 1
      case 'afterValue':
        if (byte === closeBrace) return this.#closed(at)
        if (byte !== comma) throw notJson()
        this.#place = 'key'
        return at + 1
      default:
        throw notJson()
    }
  }

  #closed(at: number): number {
    this.#place = 'end'
    return at + 1
  }

  #begin(at: number): number {
    this.#from = at
    return at
  }

  /** Goes on to where the value ends, or the bytes do. */
  #inValue(bytes: Buffer, start: number): number {
    let at = start
    while (at < bytes.length) {
      if (this.#inString) {
        at = this.#toEndOfString(bytes, at)
        if (this.#inString) return at
        if (this.#depth === 0) return this.#finish(bytes, at)
        continue
      }
      const byte = bytes[at]!
      if (byte === quote) this.#inString = true
      else if (byte === openBrace || byte === openBracket) this.#depth++
      else if (byte === closeBrace || byte === closeBracket) {
        // That of what the value is in: a number or a word ended before it.
        if (this.#depth === 0) return this.#finish(bytes, at)
        if (--this.#depth === 0) return this.#finish(bytes, at + 1)
      } else if (byte === comma && this.#depth === 0) return this.#finish(bytes, at)
      at++
    }
    return at
  }

  /** Behind the quotation mark that closes the string. */
  #toEndOfString(bytes: Buffer, start: number): number {
    let at = start
    if (this.#escaped) {
      this.#escaped = false
      at++
    }
    while (at < bytes.length) {
      const end = bytes.indexOf(quote, at)
      const escapeAt = bytes.subarray(at, end < 0 ? bytes.length : end).indexOf(backslash)
      if (escapeAt < 0) {
        if (end < 0) return bytes.length
        this.#inString = false
        return end + 1
      }
      at += escapeAt + 2
    }
    // What the last backslash stands before is in the bytes to come.
    this.#escaped = at > bytes.length
    return bytes.length
  }

  #finish(bytes: Buffer, end: number): number {
    this.#keep(bytes, end)
    this.#from = -1
    const [first, ...others] = this.#parts
    const value = others.length === 0 ? first! : Buffer.concat(this.#parts, this.#length)
    this.#parts = []
    this.#length = 0
    if (this.#place === 'key') {
      this.#key = keyOf(value)
      if (this.#seen.has(this.#key) && this.#lists.has(this.#key)) throw notJson()
      this.#seen.add(this.#key)
      this.#place = 'colon'
    } else if (this.#place === 'element') {
      this.#found.push({ list: this.#key, bytes: value })
      this.#place = 'afterElement'
    } else {
      this.#addToRest(value)
      this.#place = 'afterValue'
    }
    return end
  }

  #keep(bytes: Buffer, end: number): void {
    this.#length += end - this.#from
    const limit = this.#place === 'element' ? this.#limits.element : this.#limits.rest
    if (this.#length > limit) throw new MatrixError('M_TOO_LARGE', 'A part of the answer is too large')
    this.#parts.push(bytes.subarray(this.#from, end))
  }

  #addToRest(value: Buffer): void {
    const key = Buffer.from(`${this.#rest.length > 0 ? ',' : ''}${JSON.stringify(this.#key)}:`)
    this.#restLength += key.length + value.length
    if (this.#restLength > this.#limits.rest) throw new MatrixError('M_TOO_LARGE', 'A part of the answer is too large')
    this.#rest.push(key, value)
  }
}

function keyOf(text: Buffer): string {
  try {
    const key: unknown = JSON.parse(text.toString())
    if (typeof key === 'string') return key
  } catch {
    // No string at all.
  }
  throw notJson()
}

function notJson(): MatrixError {
  return new MatrixError('M_NOT_JSON', 'Not an object of JSON')
}
