import { MatrixError } from '../matrix/errors.ts'

export type QueryTexts = ReadonlyMap<string, readonly string[]>

const none: QueryTexts = new Map()

/**
 * The parameters of a query string in the order they came, `+` and `%20` read as a space.
 *
 * @throws MatrixError M_INVALID_PARAM when a percent-encoding is not UTF-8, or U+0000.
 */
export function parseQueryString(text: string): QueryTexts {
  if (text === '') return none
  const texts = new Map<string, string[]>()
  for (const part of text.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decode(equals < 0 ? part : part.slice(0, equals))
    const value = equals < 0 ? '' : decode(part.slice(equals + 1))
    const values = texts.get(name)
    if (values === undefined) texts.set(name, [value])
    else values.push(value)
  }
  return texts
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  let decoded: string
  try {
    decoded = decodeURIComponent(spaced)
  } catch {
    throw new MatrixError('M_INVALID_PARAM', 'The query string is not valid')
  }
  if (decoded.includes('\0')) throw new MatrixError('M_INVALID_PARAM', 'The query string is not valid')
  return decoded
}
