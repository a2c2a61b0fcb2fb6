import { MatrixError } from '../matrix/errors.ts'
import { parseUserId, type UserId } from '../matrix/ids.ts'
import { isObject } from './key-json.ts'
import { MAX_QUERIED_DEVICES } from './limits.ts'

/**
 * Reads an object with user ids for keys, as most bodies about keys are.
 *
 * @param field Its name in the request, for errors.
 * @param parse Reads a value; undefined when it is none.
 * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM
 */
export function parseUserMap<Value>(
  field: string,
  object: unknown,
  parse: (value: unknown) => Value | undefined,
): Map<UserId, Value> {
  if (!isObject(object)) throw new MatrixError('M_BAD_JSON', `Not valid: ${field}`)
  const users = new Map<UserId, Value>()
  for (const [key, given] of Object.entries(object)) {
    const userId = parseUserId(key)
    if (userId === undefined) throw new MatrixError('M_INVALID_PARAM', `Not a user id in ${field}`)
    const value = parse(given)
    if (value === undefined) throw new MatrixError('M_BAD_JSON', `Not valid: ${field}.${userId}`)
    users.set(userId, value)
  }
  if (users.size > MAX_QUERIED_DEVICES) throw new MatrixError('M_INVALID_PARAM', `Too many users in ${field}`)
  return users
}

/** For `parseUserMap`: an object with device ids for keys. */
export function deviceMap<Value>(parse: (value: unknown) => Value | undefined) {
  return (object: unknown): Map<string, Value> | undefined => {
    if (!isObject(object)) return undefined
    const devices = new Map<string, Value>()
    for (const [deviceId, given] of Object.entries(object)) {
      const value = isDeviceId(deviceId) ? parse(given) : undefined
      if (value === undefined) return undefined
      devices.set(deviceId, value)
    }
    return devices
  }
}

/** For `parseUserMap`: a list of device ids. */
export function deviceList(list: unknown): readonly string[] | undefined {
  return Array.isArray(list) && list.every((one) => typeof one === 'string') ? list : undefined
}

function isDeviceId(text: string): boolean {
  return text !== '' && text.length <= 255 && !text.includes('\0')
}

export function nonEmptyText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 255 && !value.includes('\0') ? value : undefined
}
