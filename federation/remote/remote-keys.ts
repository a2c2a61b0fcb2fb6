import type { RemoteKeys } from '../../src/keys/ports.ts'
import { type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { Federation } from '../federation.ts'

/** Keys of other servers' users. What an answer says of users that were not asked for, or have another id, is left out. */
export function createRemoteKeys({ ctx, client }: Federation): RemoteKeys {
  const ask = async (server: ServerName, operation: string, body: JsonObject, timeout: number) => {
    const uri = `/_matrix/federation/v1/user/keys/${operation}`
    try {
      return await client.send(server, { method: 'POST', uri, body, origin: ctx.domains.default, timeout })
    } catch {
      return undefined
    }
  }
  return {
    async query(server, devices, timeout) {
      const body = { device_keys: Object.fromEntries(devices) } as unknown as JsonObject
      const answer = await ask(server, 'query', body, timeout)
      if (!answer) return undefined
      const isAsked = (userId: string): userId is UserId =>
        devices.has(userId as UserId) && serverNameOf(userId as UserId) === server
      const deviceKeys = new Map<UserId, Map<string, JsonObject>>()
      for (const [userId, ofUser] of entriesOf(answer.device_keys)) {
        if (!isAsked(userId)) continue
        const own = entriesOf(ofUser).filter(([id, key]) => key.user_id === userId && key.device_id === id)
        deviceKeys.set(userId, new Map(own))
      }
      const owned = (value: Json | undefined): Map<UserId, JsonObject> => {
        const entries = entriesOf(value).filter(([userId, key]) => isAsked(userId) && key.user_id === userId)
        return new Map(entries as [UserId, JsonObject][])
      }
      return { deviceKeys, masterKeys: owned(answer.master_keys), selfSigningKeys: owned(answer.self_signing_keys) }
    },
    async claim(server, wanted, timeout) {
      const users = [...wanted].map(([userId, devices]) => [userId, Object.fromEntries(devices)] as const)
      const answer = await ask(server, 'claim', { one_time_keys: Object.fromEntries(users) }, timeout)
      if (!answer) return undefined
      const claimed = new Map<UserId, Map<string, JsonObject>>()
      for (const [userId, devices] of entriesOf(answer.one_time_keys)) {
        const asked = wanted.get(userId as UserId)
        if (!asked) continue
        claimed.set(userId as UserId, new Map(entriesOf(devices).filter(([deviceId]) => asked.has(deviceId))))
      }
      return claimed
    },
  }
}

/** The members of an object that are objects themselves. */
function entriesOf(value: Json | undefined): [string, JsonObject][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return (Object.entries(value as JsonObject) as [string, Json][]).filter(
    (entry): entry is [string, JsonObject] =>
      typeof entry[1] === 'object' && entry[1] !== null && !Array.isArray(entry[1]),
  )
}
