/** RFC 5321, 4.5.3.1.3: a path of 256 bytes, its brackets among them. */
const longestAddress = 254

/** No spaces, no control characters, nothing that has a meaning in the header of a mail. */
const pattern = /^[^\s\p{Cc}@<>()[\]\\,;:"]+@[^\s\p{Cc}@<>()[\]\\,;:"]+$/u

/**
 * A mail address in the form by which it is kept and found: in lower case, without what surrounds it. `undefined` for what
 * is none.
 */
export function parseMailAddress(text: string): string | undefined {
  const address = text.trim().toLowerCase()
  if (Buffer.byteLength(address) > longestAddress || !pattern.test(address)) return undefined
  const [localpart, domain] = address.split('@') as [string, string]
  const isDotted = (text: string) => text.split('.').every((part) => part !== '' && part.length <= 64)
  return isDotted(localpart) && isDotted(domain) ? address : undefined
}
