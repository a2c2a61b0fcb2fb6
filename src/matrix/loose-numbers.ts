/**
 * Numbers that canonical JSON cannot hold, in events of room versions 1 to 5. JavaScript reads `1.0` as 1 and rounds
 * 2⁶³, but these events were hashed and signed with the numbers as written. So the parser keeps the text of such
 * numbers beside the tree, by the object or array that holds them, and the encoder asks for it.
 *
 * Spec: Appendices, "Canonical JSON": "Servers SHOULD be capable of handling JSON which is considered invalid by these
 * restrictions where possible" (v1.19).
 */
const numbersOf = new WeakMap<object, Map<string, string>>()

/** Most servers never meet one; then nobody has to look. */
let haveMetOne = false

/** Remembers that `parent[key]` was written as `source`. */
export function keepLooseNumber(parent: object, key: string, source: string): void {
  const numbers = numbersOf.get(parent) ?? new Map<string, string>()
  numbersOf.set(parent, numbers.set(key, encodeLoose(source)))
  haveMetOne = true
}

/** The canonical texts of the loose numbers directly in `parent`, by key or index; undefined if there are none. */
export function looseNumbersIn(parent: object): ReadonlyMap<string, string> | undefined {
  return haveMetOne ? numbersOf.get(parent) : undefined
}

/** Whether there are loose numbers anywhere in `value`. */
export function hasLooseNumbers(value: unknown): boolean {
  if (!haveMetOne || typeof value !== 'object' || value === null) return false
  return numbersOf.has(value) || Object.values(value).some(hasLooseNumbers)
}

/** A copy that leaves out some keys of `from` has the same numbers. Returns the copy. */
export function carryLooseNumbers<T extends object>(from: object, copy: T): T {
  const numbers = haveMetOne ? numbersOf.get(from) : undefined
  if (numbers !== undefined) numbersOf.set(copy, numbers)
  return copy
}

/**
 * Integers keep all their digits, and the specification's example writes `1e10` out as one. For floats it has no form;
 * deployed servers sign what Python prints: the shortest digits that give the same number, a fraction always, an exponent
 * from 10¹⁶ up and below 10⁻⁴.
 */
function encodeLoose(source: string): string {
  if (/^-?[0-9]+$/.test(source)) return String(BigInt(source))
  const value = Number(source)
  if (!source.includes('.') && Number.isSafeInteger(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [digits, exponentText] = value.toExponential().split('e') as [string, string]
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  }
  const fractionDigits = Math.max(1, digits.replace(/^-?\d\.?/, '').length - exponent)
  return value.toFixed(fractionDigits)
}
