import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { isSignedBy } from './check-cross-signing-key.ts'
import { isObject, member, signaturesBy } from './key-json.ts'

/** The identity keys of a user's devices: stored contents by device id. */
export type DeviceContents = ReadonlyMap<string, string>

/**
 * The signatures by a user's devices on the user's master key, by key id. Those of devices that have no keys here are
 * left out, as nobody could check them.
 *
 * @throws MatrixError M_INVALID_SIGNATURE when one of them is wrong.
 */
export function deviceSignaturesOn(master: JsonObject, owner: UserId, devices: DeviceContents): Map<string, string> {
  const found = new Map<string, string>()
  for (const [keyId, signature] of signaturesBy(master, owner)) {
    const publicKey = deviceKey(devices, keyId)
    if (publicKey === undefined) continue
    if (!isSignedBy(master, owner, keyId, publicKey))
      throw new MatrixError('M_INVALID_SIGNATURE', `The signature by ${keyId} is not valid`)
    found.set(keyId, signature)
  }
  return found
}

function deviceKey(devices: DeviceContents, keyId: string): string | undefined {
  const content = devices.get(keyId.slice(keyId.indexOf(':') + 1))
  if (content === undefined) return undefined
  const parsed: unknown = JSON.parse(content)
  const key = isObject(parsed) ? member(parsed.keys, keyId) : undefined
  return typeof key === 'string' ? key : undefined
}
