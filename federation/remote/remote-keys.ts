import type { RemoteKeyAnswer, RemoteKeys } from '../../src/keys/ports.ts'
import { type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { remoteDeviceLists, saveRemoteDeviceList } from '../../src/storage/remote-device-lists.ts'
import type { Federation } from '../federation.ts'

/** What is remembered of a user. */
type DeviceList = {
  readonly devices: { readonly [deviceId: string]: JsonObject }
  readonly master?: JsonObject
  readonly self_signing?: JsonObject
}

type Asked = ReadonlyMap<UserId, readonly string[]>

/** Bytes of what is remembered of one user. */
const mostBytes = 4 * 1024 * 1024

/**
 * Keys of other servers' users. What an answer says of users that were not asked for, or have another id, is left out. Whole
 * lists are remembered until their server says that they changed.
 *
 * Spec: Server-Server API, "End-to-End Encryption", "Device Management" (v1.19).
 */
export function createRemoteKeys(federation: Federation): RemoteKeys {
  const { ctx, client } = federation
  const ask = async (
    server: ServerName,
    operation: string,
    body: JsonObject,
    { timeout, origin }: { timeout: number; origin: ServerName },
  ) => {
    const uri = `/_matrix/federation/v1/user/keys/${operation}`
    try {
      return await client.send(server, { method: 'POST', uri, body, origin, timeout })
    } catch {
      return undefined
    }
  }
  return {
    async query(server, devices, timeout, origin) {
      const known = await remembered(federation, devices)
      const missing = [...devices.keys()].filter((userId) => !known.has(userId))
      if (missing.length > 0) {
        const { position } = ctx.stream
        const body = { device_keys: Object.fromEntries(missing.map((userId) => [userId, []])) }
        const answer = await ask(server, 'query', body, { timeout, origin })
        if (!answer) return undefined
        for (const [userId, list] of listsIn(answer, server, missing)) {
          known.set(userId, list)
          await remember(federation, userId, list, position)
        }
      }
      return answerOf(known, devices)
    },
    async claim(server, wanted, timeout, origin) {
      const users = [...wanted].map(([userId, devices]) => [userId, Object.fromEntries(devices)] as const)
      const answer = await ask(server, 'claim', { one_time_keys: Object.fromEntries(users) }, { timeout, origin })
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

async function remembered({ ctx }: Federation, devices: Asked): Promise<Map<UserId, DeviceList>> {
  const nids = await ctx.dictionaries.findUsers([...devices.keys()])
  const users = new Map([...nids].map(([userId, nid]) => [nid, userId]))
  const rows = users.size === 0 ? [] : await ctx.database.read(remoteDeviceLists, [[...users.keys()]])
  return new Map(rows.map((row) => [users.get(row.user_nid)!, JSON.parse(row.content) as DeviceList]))
}

async function remember({ ctx }: Federation, userId: UserId, list: DeviceList, position: number): Promise<void> {
  const nid = (await ctx.dictionaries.findUsers([userId])).get(userId)
  const content = JSON.stringify(list)
  // PostgreSQL cannot hold the one; nobody needs the other.
  if (nid === undefined || content.includes('\\u0000') || content.length > mostBytes) return
  await ctx.database.read(saveRemoteDeviceList, [nid, content, position])
}

function listsIn(answer: JsonObject, server: ServerName, asked: readonly UserId[]): Map<UserId, DeviceList> {
  const deviceKeys = new Map(entriesOf(answer.device_keys))
  const masters = new Map(entriesOf(answer.master_keys))
  const selfSigning = new Map(entriesOf(answer.self_signing_keys))
  const lists = new Map<UserId, DeviceList>()
  for (const userId of asked.filter((one) => serverNameOf(one) === server)) {
    const own = entriesOf(deviceKeys.get(userId)).filter(([id, key]) => key.user_id === userId && key.device_id === id)
    const owned = (keys: Map<string, JsonObject>): JsonObject | undefined => {
      const key = keys.get(userId)
      return key?.user_id === userId ? key : undefined
    }
    const [master, signing] = [owned(masters), owned(selfSigning)]
    // Of a user who does not exist there is nothing to remember.
    if (!deviceKeys.has(userId) && !master) continue
    lists.set(userId, {
      devices: Object.fromEntries(own),
      ...(master && { master }),
      ...(signing && { self_signing: signing }),
    })
  }
  return lists
}

function answerOf(known: ReadonlyMap<UserId, DeviceList>, asked: Asked): RemoteKeyAnswer {
  const deviceKeys = new Map<UserId, Map<string, JsonObject>>()
  const masterKeys = new Map<UserId, JsonObject>()
  const selfSigningKeys = new Map<UserId, JsonObject>()
  for (const [userId, { devices, master, self_signing: selfSigning }] of known) {
    const only = new Set(asked.get(userId))
    const shown = Object.entries(devices).filter(([deviceId]) => only.size === 0 || only.has(deviceId))
    deviceKeys.set(userId, new Map(shown))
    if (master) masterKeys.set(userId, master)
    if (selfSigning) selfSigningKeys.set(userId, selfSigning)
  }
  return { deviceKeys, masterKeys, selfSigningKeys }
}

/** The members of an object that are objects themselves. */
function entriesOf(value: Json | undefined): [string, JsonObject][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return (Object.entries(value as JsonObject) as [string, Json][]).filter(
    (entry): entry is [string, JsonObject] =>
      typeof entry[1] === 'object' && entry[1] !== null && !Array.isArray(entry[1]),
  )
}
