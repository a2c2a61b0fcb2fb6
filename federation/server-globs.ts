/**
 * Whether a server name matches one of the patterns, where `*` stands for any text and `?` for one character, whatever the
 * case. Each pattern takes at most the product of both lengths, and no more memory: there is no backtracking beyond the
 * last `*`.
 */
export function compileServerGlobs(patterns: readonly string[]): (server: string) => boolean {
  const literals = new Set<string>()
  const globs: string[] = []
  for (const pattern of patterns) {
    const lower = pattern.toLowerCase()
    if (/[*?]/.test(lower)) globs.push(lower.replaceAll(/\*+/g, '*'))
    else literals.add(lower)
  }
  return (server) => {
    const name = server.toLowerCase()
    return literals.has(name) || globs.some((glob) => matches(glob, name))
  }
}

function matches(glob: string, text: string): boolean {
  let [at, place, star, resume] = [0, 0, -1, 0]
  while (at < text.length) {
    if (place < glob.length && (glob[place] === '?' || glob[place] === text[at]) && glob[place] !== '*') {
      at++
      place++
    } else if (glob[place] === '*') {
      star = place++
      resume = at
    } else if (star >= 0) {
      place = star + 1
      at = ++resume
    } else return false
  }
  while (glob[place] === '*') place++
  return place === glob.length
}
