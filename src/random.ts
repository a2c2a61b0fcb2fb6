/** Unpredictable values; tests give predictable ones. */
export type Random = {
  bytes(count: number): Buffer
  /** URL-safe text made of that many random bytes. */
  token(bytes: number): string
}

/** Everything else made from a source of random bytes. */
export function randomFrom(bytes: (count: number) => Buffer): Random {
  return { bytes, token: (count) => bytes(count).toString('base64url') }
}
