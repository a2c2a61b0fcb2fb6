import type { Context } from '../context.ts'
import { compareCodePoints } from '../matrix/canonical-json.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServerName, UserId } from '../matrix/ids.ts'
import { claimOneTimeKeys } from '../storage/one-time-keys.ts'
import { failuresText, splitByServer } from './by-server.ts'
import { MAX_QUERIED_DEVICES } from './limits.ts'

/** The algorithm for each device of each user. */
type Wanted = ReadonlyMap<UserId, ReadonlyMap<string, string>>

/**
 * Takes one key of each of the devices, as the JSON text of the answer. Nobody gets a one-time key that somebody else
 * got; devices that have none left give their fallback key.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/keys/claim` (v1.19). One statement for all our users.
 *
 * @param timeout Milliseconds to wait for other servers.
 * @throws MatrixError M_INVALID_PARAM for too many devices.
 */
export async function claimKeys(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'domains' | 'deviceKeys' | 'clock'>,
  wanted: Wanted,
  timeout: number,
  asker: ServerName,
): Promise<string> {
  let devices = 0
  for (const ofUser of wanted.values()) devices += ofUser.size
  if (devices > MAX_QUERIED_DEVICES) throw new MatrixError('M_INVALID_PARAM', 'Too many devices in one_time_keys')
  const { local, remote } = splitByServer(ctx.domains, wanted)
  const failures: ServerName[] = []
  const texts: string[] = []
  await Promise.all([
    claimLocalKeys(ctx, local).then((claimed) => texts.push(...claimed)),
    ...[...remote].map(async ([server, users]) => {
      const answer = await ctx.deviceKeys.remote.claim(server, users, timeout, asker)
      if (answer === undefined) failures.push(server)
      for (const [userId, ofUser] of answer ?? []) {
        const keys = [...ofUser].map(([deviceId, key]) => `${JSON.stringify(deviceId)}:${JSON.stringify(key)}`)
        if (users.has(userId)) texts.push(`${JSON.stringify(userId)}:{${keys.join(',')}}`)
      }
    }),
  ])
  return `{"failures":${failuresText(failures)},"one_time_keys":{${texts.join(',')}}}`
}

/** @returns a member of `one_time_keys` for each user of whom there was a key. */
export async function claimLocalKeys(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'deviceKeys' | 'clock'>,
  wanted: Wanted,
): Promise<string[]> {
  if (wanted.size === 0) return []
  const nids = await ctx.dictionaries.findUsers([...wanted.keys()])
  const userIds = new Map<number, UserId>()
  const asked: { nid: number; deviceId: string; algorithm: string }[] = []
  for (const [userId, nid] of nids) {
    userIds.set(nid, userId)
    for (const [deviceId, algorithm] of wanted.get(userId)!) asked.push({ nid, deviceId, algorithm })
  }
  // In one order, so that requests for the same devices meet in it.
  asked.sort((a, b) => a.nid - b.nid || compareCodePoints(a.deviceId, b.deviceId))
  const rows = await ctx.database.read(claimOneTimeKeys, [
    asked.map((one) => one.nid),
    asked.map((one) => one.deviceId),
    asked.map((one) => one.algorithm),
    ctx.clock.now(),
  ])
  const texts = new Map<number, string[]>()
  for (const row of rows) {
    if (row.is_news) ctx.deviceKeys.changed({ userNid: row.user_nid, deviceId: row.device_id })
    const text = `${JSON.stringify(row.device_id)}:{${JSON.stringify(`${row.algorithm}:${row.key_id}`)}:${row.content}}`
    const ofUser = texts.get(row.user_nid)
    if (ofUser) ofUser.push(text)
    else texts.set(row.user_nid, [text])
  }
  return [...texts].map(([nid, keys]) => `${JSON.stringify(userIds.get(nid))}:{${keys.join(',')}}`)
}
