import { parseUserId, type UserId } from '../ids.ts'
import { MAX_ID_BYTES } from '../limits.ts'
import type { PowerLevels } from '../power-levels.ts'
import { ALLOW, reject, rejectMalformed, type Verdict } from './verdict.ts'

/**
 * Whether the sender may set state under a key that begins with a user id: their own, or that of a user below them.
 *
 * Spec: MSC3757, in the place of "If the event has a state_key that starts with an @ and does not match the sender, reject."
 */
export function checkOwnedStateKey(stateKey: string, sender: UserId, levels: PowerLevels): Verdict {
  if (!stateKey.startsWith('@')) {
    return Buffer.byteLength(stateKey) > MAX_ID_BYTES ? rejectMalformed('The state key is too long') : ALLOW
  }
  // "If the prefix of the state_key before the first _ that follows the first : (or end of string) is not a valid user
  // ID, reject."
  const colon = stateKey.indexOf(':')
  const end = colon < 0 ? -1 : stateKey.indexOf('_', colon)
  const ownerText = end < 0 ? stateKey : stateKey.slice(0, end)
  const owner = parseUserId(ownerText)
  if (!owner) return rejectMalformed('The state key begins with what is not a user id')
  // "If the size of the state_key without its leading user ID is greater than 256 bytes, reject."
  if (Buffer.byteLength(stateKey) - Buffer.byteLength(ownerText) > MAX_ID_BYTES + 1) {
    return rejectMalformed('The state key is too long')
  }
  if (owner === sender || levels.userLevel(sender) > levels.userLevel(owner)) return ALLOW
  return reject('The state key is that of a user who is not below the sender')
}
