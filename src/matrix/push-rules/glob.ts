/**
 * Glob matching for push rules, without regular expressions: a pattern is cut at its stars, and the pieces are looked
 * for from left to right, each as far left as possible. That never goes back, so the work is bounded by the length of
 * the text times the length of the pattern, and a piece without `?` is a plain substring search.
 *
 * Spec: Appendices, "Glob-style matching"; Client-Server API, "Conditions" (v1.19). Both sides must already be in lower
 * case. A character is a code point.
 */
export type Glob = {
  /** What stands before, between and after the stars. */
  readonly pieces: readonly Piece[]
}

type Piece = {
  readonly text: string
  /** Whether a `?` is in it. */
  readonly wild: boolean
  /** Code points. */
  readonly points: number
}

const QUESTION_MARK = 63

/** `pattern` in lower case. */
export function compileGlob(pattern: string): Glob {
  return { pieces: pattern.replace(/\*+/g, '*').split('*').map(pieceOf) }
}

/** A glob that matches `text` alone, whatever stars and question marks are in it. */
export function literalGlob(text: string): Glob {
  return { pieces: [{ ...pieceOf(text), wild: false }] }
}

/** Characters that may still be looked at. Once it is used up, nothing matches any more. */
export type MatchingBudget = { left: number }

/** Tells whether the glob matches the whole of `text`. */
export function matchesWhole(glob: Glob, text: string, budget: MatchingBudget): boolean {
  const { pieces } = glob
  const first = pieces[0]!
  let from = endOfMatch(first, text, 0, budget)
  if (from < 0) return false
  if (pieces.length === 1) return from === text.length
  const last = pieces[pieces.length - 1]!
  for (let i = 1; i < pieces.length - 1; i++) {
    const at = find(pieces[i]!, text, from, budget)
    if (at < 0) return false
    from = endOfMatch(pieces[i]!, text, at, budget)
  }
  const tail = stepBack(text, last)
  return tail >= from && endOfMatch(last, text, tail, budget) === text.length
}

/**
 * Tells whether the glob matches a part of `text` that starts and ends at a word boundary.
 *
 * Spec: "A word boundary is defined as the start or end of the value, or any character not in the sets `[A-Z]`,
 * `[a-z]`, `[0-9]` or `_`."
 */
export function matchesWords(glob: Glob, text: string, budget: MatchingBudget): boolean {
  const { pieces } = glob
  const first = pieces[0]!
  if (pieces.length === 1) return findWord(first, text, 0, { start: true, end: true }, budget) >= 0
  let from = 0
  if (first.text !== '') {
    from = findWord(first, text, 0, { start: true, end: false }, budget)
    if (from < 0) return false
    from = endOfMatch(first, text, from, budget)
  }
  for (let i = 1; i < pieces.length - 1; i++) {
    const at = find(pieces[i]!, text, from, budget)
    if (at < 0) return false
    from = endOfMatch(pieces[i]!, text, at, budget)
  }
  const last = pieces[pieces.length - 1]!
  return last.text === '' || findWord(last, text, from, { start: false, end: true }, budget) >= 0
}

function pieceOf(text: string): Piece {
  let points = 0
  for (const _ of text) points++
  return { text, wild: text.includes('?'), points }
}

type WordEnds = { readonly start: boolean; readonly end: boolean }

/** Where the first match at or after `from` starts whose asked ends are word boundaries, or -1. */
function findWord(piece: Piece, text: string, from: number, ends: WordEnds, budget: MatchingBudget): number {
  for (let at = find(piece, text, from, budget); at >= 0; at = find(piece, text, at + 1, budget)) {
    const end = endOfMatch(piece, text, at, budget)
    const startsWell = !ends.start || at === 0 || !isWord(text, at - 1)
    const endsWell = !ends.end || end === text.length || !isWord(text, end)
    if (end >= 0 && startsWell && endsWell) return at
    if (at >= text.length) return -1
  }
  return -1
}

/** Where the first match at or after `from` starts, or -1. */
function find(piece: Piece, text: string, from: number, budget: MatchingBudget): number {
  if (!piece.wild) {
    const at = text.indexOf(piece.text, from)
    budget.left -= at < 0 ? text.length - from : at - from
    return budget.left < 0 ? -1 : at
  }
  for (let at = from; at < text.length; at++) {
    if (isInsidePair(text, at)) continue
    if (endOfMatch(piece, text, at, budget) >= 0) return at
    if (budget.left < 0) return -1
  }
  return -1
}

/** Where the match that starts exactly at `at` ends, or -1. */
function endOfMatch(piece: Piece, text: string, at: number, budget: MatchingBudget): number {
  if (!piece.wild) {
    budget.left -= piece.text.length + 1
    return budget.left >= 0 && text.startsWith(piece.text, at) ? at + piece.text.length : -1
  }
  let end = at
  for (let i = 0; i < piece.text.length; i++) {
    if (--budget.left < 0 || end >= text.length) return -1
    const wanted = piece.text.charCodeAt(i)
    if (wanted === QUESTION_MARK) end += isPair(text, end) ? 2 : 1
    else if (text.charCodeAt(end) === wanted) end++
    else return -1
  }
  return end
}

/** Where a match must start that ends with the text, or -1. */
function stepBack(text: string, piece: Piece): number {
  if (!piece.wild) return text.length - piece.text.length
  let at = text.length
  for (let left = piece.points; left > 0 && at >= 0; left--) at -= at >= 2 && isPair(text, at - 2) ? 2 : 1
  return at
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff
}

function isInsidePair(text: string, at: number): boolean {
  return at > 0 && isPair(text, at - 1)
}

function isWord(text: string, at: number): boolean {
  const unit = text.charCodeAt(at)
  return (unit >= 97 && unit <= 122) || (unit >= 48 && unit <= 57) || unit === 95 || (unit >= 65 && unit <= 90)
}
