export type XMatrix = {
  readonly origin: string
  readonly destination: string | undefined
  readonly key: string
  readonly sig: string
}

/**
 * Spec: Server-Server API, "Request Authentication" (v1.19).
 *
 * @returns undefined for a header that is no such one.
 */
export function parseXMatrix(header: string | undefined): XMatrix | undefined {
  const match = /^X-Matrix\s+(.*)$/i.exec(header ?? '')
  if (match === null || match[1]!.length > 4096) return undefined
  const parts = new Map<string, string>()
  const pattern = /\s*([A-Za-z0-9_!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))\s*(?:,|$)/y
  while (pattern.lastIndex < match[1]!.length) {
    const part = pattern.exec(match[1]!)
    if (part === null) return undefined
    const name = part[1]!.toLowerCase()
    if (parts.has(name)) return undefined
    parts.set(name, part[2]?.replaceAll(/\\(.)/g, '$1') ?? part[3]!)
  }
  const [origin, key, sig] = ['origin', 'key', 'sig'].map((name) => parts.get(name))
  if (!origin || !key || !sig) return undefined
  return { origin, key, sig, destination: parts.get('destination') }
}
