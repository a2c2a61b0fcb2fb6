import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'
import { upTo } from '../storage/caches.ts'

/** A namespace as a registration writes it. */
export type NamespaceText = { readonly exclusive: boolean; readonly regex: string }

/** Which identifiers an application service claims. */
export type Namespaces = {
  readonly isEmpty: boolean
  includes(id: string): boolean
  /** Whether nobody else may make it. */
  isExclusive(id: string): boolean
}

const remembered = 20_000
/** Of a compiled pattern: `(a{1000}){1000}` would fill the memory. */
const mostInstructions = 10_000

/**
 * Compiles namespaces. A pattern has to match from the beginning of an identifier, not to its end.
 *
 * Identifiers come from anybody, so patterns are matched in time linear in their length (RE2): what needs backtracking is
 * refused. docs/decisions/0004-linear-time-namespaces.md.
 *
 * @throws Error that says what is wrong with a pattern.
 */
export function compileNamespaces(texts: readonly NamespaceText[]): Namespaces {
  const patterns = texts.map(({ exclusive, regex }) => ({ exclusive, pattern: compile(regex) }))
  const found = new LRUCache<string, 'none' | 'included' | 'exclusive'>(upTo(remembered))
  const lookUp = (id: string): 'none' | 'included' | 'exclusive' => {
    const known = found.get(id)
    if (known) return known
    const matching = patterns.filter(({ pattern }) => pattern.matcher(id).lookingAt())
    const outcome = matching.some(({ exclusive }) => exclusive)
      ? 'exclusive'
      : matching.length > 0
        ? 'included'
        : 'none'
    found.set(id, outcome)
    return outcome
  }
  return {
    isEmpty: patterns.length === 0,
    includes: (id) => patterns.length > 0 && lookUp(id) !== 'none',
    isExclusive: (id) => patterns.length > 0 && lookUp(id) === 'exclusive',
  }
}

function compile(regex: string): RE2JS {
  let pattern: RE2JS
  try {
    pattern = RE2JS.compile(regex)
  } catch (error) {
    throw new Error(`"${regex}" is not a pattern that can be matched in linear time (${(error as Error).message})`)
  }
  if (pattern.programSize() > mostInstructions) throw new Error(`"${regex}" is too large`)
  return pattern
}
