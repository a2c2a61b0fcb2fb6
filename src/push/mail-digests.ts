import { mailAppId } from '../accounts/mail-addresses.ts'
import type { Context } from '../context.ts'
import { languageOf } from '../mail/languages.ts'
import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf } from '../matrix/ids.ts'
import { createAlarm } from '../pause.ts'
import {
  addToDigest,
  type DigestRow,
  delayDigest,
  deleteDigest,
  nextDigest,
  unreadRooms,
  unsubscribeToken,
} from '../storage/mail-digests.ts'
import { userOfThreepid } from '../storage/threepids.ts'
import type { PushedEvent, PusherKind } from './pusher-kinds.ts'

/**
 * Pushers of kind `email`. What a user is to be told of is gathered for a while (`mail.digest_delay_seconds`), and mailed as
 * the rooms in which something is unread by then; what was said there only where the operator wants it in mails. One
 * process of the deployment sends.
 *
 * Spec: Client-Server API, `POST /pushers/set` (v1.19).
 */
export type MailDigests = {
  readonly kind: PusherKind
  /** Begins to send, once this process is the one that does. */
  start(): void
  close(): Promise<void>
}

type Engine = Pick<
  Context,
  'config' | 'database' | 'clock' | 'random' | 'domains' | 'log' | 'ownership' | 'closing' | 'hotRooms' | 'mail'
>

/** Where the link leads by which a user ends such mails. */
export const unsubscribePath = '/_matrix/client/unstable/chappe/email/unsubscribe'

/** What is kept of an event until the mail is sent. */
type Item = {
  readonly room: number
  readonly event: string
  readonly sender: string
  readonly body?: string
}

/** Bytes that wait for one mail, and letters of a message in it. */
const mostBytes = 64 * 1024
const longestBody = 300
/** Rooms and messages of each that a mail names. */
const mostRooms = 50
const mostMessages = 10
/** Milliseconds after a mail was not taken before it is tried again; doubled by each failure. */
const firstRetry = 60_000
const longestRetry = 4 * 3_600_000
/** Nobody needs to be told any more of what happened so long before. */
const giveUpAfter = 48 * 3_600_000
/** Another process may have made one that is due earlier than the next we know. */
const longestPause = 30_000
const retryAfterError = 1000

export function createMailDigests(ctx: Engine): MailDigests {
  const { include_content: isTold, digest_delay_seconds: delay } = ctx.config.mail
  let started = false
  let running = Promise.resolve()
  const alarm = createAlarm()

  const kind: PusherKind = {
    async check({ appId, pushkey }, user) {
      if (appId !== mailAppId) throw new MatrixError('M_INVALID_PARAM', `The app_id of mail is ${mailAppId}`)
      const [owner] = await ctx.database.read(userOfThreepid, ['email', pushkey])
      if (owner?.user_nid !== user.userNid) {
        throw new MatrixError('M_THREEPID_NOT_FOUND', 'The pushkey is no mail address of yours')
      }
    },
    async push(pusher, pushed) {
      const now = ctx.clock.now()
      const item = JSON.stringify(itemOf(pushed, isTold)).replaceAll('\\u0000', '')
      await ctx.database.read(addToDigest, [pusher.pusher, now, now + delay * 1000, item, mostBytes])
      alarm.ring()
      return 'sent'
    },
  }

  async function run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const wait = await sendDue(stop).catch((error: unknown) => {
        ctx.log.warn({ err: error }, 'Mails about unread messages wait')
        return retryAfterError
      })
      if (wait > 0) await alarm.rest(wait, stop)
    }
  }

  /** @returns milliseconds until there may be more to do. */
  async function sendDue(stop: AbortSignal): Promise<number> {
    const [next] = await ctx.database.read(nextDigest, [])
    if (!next) return longestPause
    const wait = next.due_at - ctx.clock.now()
    if (wait > 0) return Math.min(wait, longestPause)
    if (!stop.aborted) await sendDigest(ctx, next, delay * 1000)
    return 0
  }

  return {
    kind,
    start() {
      if (started) return
      started = true
      ctx.ownership.claim('mail digests', (lost) => {
        const stop = AbortSignal.any([lost, ctx.closing])
        running = running.then(() => run(stop))
      })
    },
    close: () => running,
  }
}

/** What is encrypted says nothing, and neither does what is no message. */
function itemOf({ event, room }: Pick<PushedEvent, 'event' | 'room'>, isTold: boolean): Item {
  const { sender, type, content } = event.pdu
  const name = room.get('m.room.member', sender)?.pdu.content.displayname
  const isSaid = isTold && type === 'm.room.message' && typeof content.body === 'string'
  return {
    room: room.room,
    event: event.eventId,
    sender: typeof name === 'string' && name !== '' ? name : sender,
    ...(isSaid && { body: String(content.body).slice(0, longestBody) }),
  }
}

async function sendDigest(ctx: Engine, digest: DigestRow, delay: number): Promise<void> {
  const { pusher, user_id: userId, pushkey: address } = digest
  const items = JSON.parse(digest.items) as Item[]
  const rooms = [...new Set(items.map((item) => item.room))]
  const unread = digest.enabled ? await ctx.database.read(unreadRooms, [digest.user_nid, rooms]) : []
  const isPast = ctx.clock.now() - digest.since > giveUpAfter
  if (unread.length === 0 || isPast) {
    if (isPast) ctx.log.warn({ userId }, 'A mail about unread messages was never taken')
    await ctx.database.read(deleteDigest, [pusher, digest.items])
    return
  }
  const { mail, config } = ctx
  const [ending] = await ctx.database.read(unsubscribeToken, [pusher, ctx.random.token(24)])
  if (!ending) return
  const domain = serverNameOf(userId)
  try {
    await mail!.send(address, 'notification', languageOf(digest.lang, config.mail.default_language), {
      app_name: config.mail.app_name,
      server_name: domain,
      user_id: userId,
      count: String(unread.reduce((sum, room) => sum + room.count, 0)),
      unsubscribe: `${ctx.domains.baseUrlOf(domain)}${unsubscribePath}?token=${ending.token}`,
      rooms: await describe(ctx, unread.slice(0, mostRooms), items),
    })
  } catch (error) {
    ctx.log.info({ userId, error: (error as Error).message }, 'A mail about unread messages was not taken')
    const wait = Math.min(firstRetry * 2 ** Math.min(digest.failures, 20), longestRetry)
    await ctx.database.read(delayDigest, [pusher, ctx.clock.now() + wait, 1])
    return
  }
  const [deleted] = await ctx.database.read(deleteDigest, [pusher, digest.items])
  if (!deleted) await ctx.database.read(delayDigest, [pusher, ctx.clock.now() + delay, 0])
}

/** A line for each room, and its messages below it where they are told. */
async function describe(
  ctx: Pick<Engine, 'hotRooms'>,
  unread: readonly { readonly room: number; readonly count: number }[],
  items: readonly Item[],
): Promise<string> {
  const lines: string[] = []
  for (const { room: nid, count } of unread) {
    // The same event is there twice when a process ended just after it had noted it.
    const told = [...new Map(items.filter((item) => item.room === nid).map((item) => [item.event, item])).values()]
    lines.push(`* ${await nameOf(ctx, nid, told)} (${count})`)
    for (const { sender, body } of told.slice(-mostMessages)) {
      if (body !== undefined) lines.push(`    ${sender}: ${body.replaceAll(/\s+/g, ' ')}`)
    }
  }
  return lines.join('\n')
}

/** The name of the room, or an alias, or who said something there. */
async function nameOf(ctx: Pick<Engine, 'hotRooms'>, nid: number, told: readonly Item[]): Promise<string> {
  const room = await ctx.hotRooms.getByNid(nid)
  const name = room?.get('m.room.name', '')?.pdu.content.name
  if (typeof name === 'string' && name !== '') return name
  const alias = room?.get('m.room.canonical_alias', '')?.pdu.content.alias
  if (typeof alias === 'string' && alias !== '') return alias
  return [...new Set(told.map((item) => item.sender))].slice(0, 3).join(', ')
}
