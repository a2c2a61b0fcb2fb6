import { ignoredUsers } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { PushOutcome } from '../matrix/push-rules/compile.ts'
import { describeEvents, type Reader } from '../rooms/describe-events.ts'
import { type IsSubscribed, subscribedThreads } from '../rooms/thread-audience.ts'
import type { StoredEvent } from '../storage/events.ts'
import { recentEventsFor } from '../storage/pushers.ts'
import { oneAccountData } from '../storage/user-data.ts'
import { outcomeFor } from './deliver.ts'

type Engine = Parameters<typeof describeEvents>[0] &
  Pick<Context, 'config' | 'database' | 'events' | 'hotRooms' | 'pushRules' | 'stream'>

type Notification = { readonly stored: StoredEvent; readonly outcome: PushOutcome; readonly read: boolean }

/** Events looked at in one statement, and for one page: a reader of quiet rules has to ask again. */
const batchSize = 200
const mostScanned = 2000
const largestPage = 500

/**
 * What a user was notified of since they are in their rooms, newest first, by the push rules as they are now.
 *
 * Spec: Client-Server API, `GET /notifications` (v1.19).
 *
 * @param page.from the position of the first event that may be on the page.
 * @returns the entries as JSON text, and the position where the next page begins, if there is one.
 */
export async function notificationsOf(
  ctx: Engine,
  reader: Reader,
  page: { readonly from: number | undefined; readonly limit: number; readonly onlyHighlights: boolean },
): Promise<{ notifications: readonly string[]; next: number | undefined }> {
  const limit = Math.min(page.limit, largestPage)
  const ignored = await ignoredBy(ctx, reader)
  const found: Notification[] = []
  let next: number | undefined = page.from ?? ctx.stream.position
  for (let scanned = 0; scanned < mostScanned && found.length < limit && next !== undefined; scanned += batchSize) {
    const rows: { event_nid: number; timeline: number; read: boolean }[] = await ctx.database.read(recentEventsFor, [
      reader.userNid,
      next,
      batchSize,
    ])
    const events = new Map((await ctx.events.byNids(rows.map((row) => row.event_nid))).map((one) => [one.nid, one]))
    next = rows.length < batchSize ? undefined : rows.at(-1)!.timeline - 1
    const isSubscribed = await subscribedThreads(ctx, reader.userNid, [...events.values()])
    for (const row of rows) {
      const stored = events.get(row.event_nid)
      if (!stored || ignored.has(stored.event.pdu.sender)) continue
      const outcome = await outcomeOf(ctx, stored, { ...reader, isSubscribed })
      if (!outcome?.notify || (page.onlyHighlights && !outcome.highlight)) continue
      if (found.length === limit) {
        next = row.timeline
        break
      }
      found.push({ stored, outcome, read: row.read })
    }
  }
  const texts = await describeEvents(
    ctx,
    reader,
    found.map(({ stored }) => stored),
  )
  return { notifications: found.map((one, index) => notificationText(one, texts[index]!)), next }
}

async function ignoredBy(ctx: Engine, reader: Reader): Promise<ReadonlySet<string>> {
  const [row] = await ctx.database.read(oneAccountData, [reader.userNid, 0, 'm.ignored_user_list'])
  return ignoredUsers(row?.content, reader.userId)
}

async function outcomeOf(
  ctx: Engine,
  stored: StoredEvent,
  reader: Reader & { readonly isSubscribed: IsSubscribed },
): Promise<PushOutcome | undefined> {
  const room = await ctx.hotRooms.getByNid(stored.room)
  if (!room) return undefined
  await ctx.hotRooms.load(room, [['m.room.member', reader.userId]])
  return outcomeFor(ctx, room, stored.event, reader)
}

function notificationText({ stored, outcome, read }: Notification, event: string): string {
  const { roomId, pdu } = stored.event
  const actions = JSON.stringify(actionsOf(outcome))
  return `{"actions":${actions},"event":${event},"read":${read},"room_id":${JSON.stringify(roomId)},"ts":${pdu.origin_server_ts}}`
}

function actionsOf({ tweaks }: PushOutcome): Json[] {
  return ['notify', ...Object.entries(tweaks).map(([name, value]): JsonObject => ({ set_tweak: name, value }))]
}
