import type { UserId } from '../matrix/ids.ts'

/** Signatures on one key: by signer, then by the signer's key. */
export type Signatures = ReadonlyMap<UserId, ReadonlyMap<string, string>>

/** The JSON text of a key, but for its signatures. */
export type KeyText = {
  readonly head: string
  with(signatures: Signatures): string
}

/** @param content The text of an object that has members, without `signatures` and `unsigned`. */
export function keyText(content: string, displayName?: string): KeyText {
  const unsigned = displayName === undefined ? '' : `,"unsigned":{"device_display_name":${JSON.stringify(displayName)}}`
  const head = `${content.slice(0, -1)}${unsigned},"signatures":`
  return { head, with: (signatures) => `${head}${signaturesText(signatures)}}` }
}

function signaturesText(signatures: Signatures): string {
  const members = [...signatures].map(([signer, byKey]) => {
    const pairs = [...byKey].map(([keyId, signature]) => `${JSON.stringify(keyId)}:${JSON.stringify(signature)}`)
    return `${JSON.stringify(signer)}:{${pairs.join(',')}}`
  })
  return `{${members.join(',')}}`
}
