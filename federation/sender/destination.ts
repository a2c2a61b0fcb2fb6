import type { ServerName } from '../../src/matrix/ids.ts'
import { type DestinationRow, ownDestination, saveDestination } from '../../src/storage/destinations.ts'
import { deleteOutgoingToDevice } from '../../src/storage/outgoing-to-device.ts'
import type { Federation } from '../federation.ts'
import { type Missed, mostInOrder, setMissedAside } from './missed.ts'
import { Passing } from './passing.ts'
import { nextTransaction, type Transaction } from './transaction.ts'

/** Milliseconds before the first new attempt; doubled by each failure. */
const firstRetry = 2_000
const longestRetry = 24 * 3_600_000
/** Milliseconds that the process which sends is left alone; longer than a transaction takes. */
const ownedFor = 90_000
const sendTimeout = 60_000
/** Milliseconds until it is tried again to send what another process may be sending. */
const patience = 2_000

/** `isEarlier`: it was there before the server came into the room, which may not be allowed to see it. */
export type PendingEvent = { readonly nid: number; readonly position: number; readonly isEarlier?: boolean }

/** Up to which position of the stream every destination has been given what concerns it. */
export type Followed = { position: number }

/** What one domain of ours has to tell to one server. */
export class Destination {
  readonly origin: ServerName
  readonly server: ServerName
  readonly followed: Followed
  acked: number
  failures: number
  retryAt: number
  /** Events to be told, as the stream brought them; undefined: what came after `acked` has to be looked for. */
  events: PendingEvent[] | undefined
  /** What came before `acked` while the server could not be reached, and is still to be told. */
  missed: Missed | undefined
  mayHaveLists: boolean
  mayHaveMessages: boolean
  /** Receipts and typing: told if it can be done soon. */
  readonly passing = new Passing()
  /** Since when there is something to tell and nothing was taken, by the monotonic clock. */
  behindSince: number | undefined
  /** Whether it is written down that there is something to tell to the server. */
  isWritten: boolean
  running: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
  /** Whether it showed itself during the attempt that is under way, which may have begun before it was there. */
  #showedItself = false

  /** @param isKnown The stream has been followed since the position in the row. */
  constructor(row: DestinationRow, isKnown: boolean, followed: Followed) {
    this.followed = followed
    this.origin = row.origin
    this.server = row.server_name
    this.acked = row.acked_position
    this.missed = missedIn(row)
    this.isWritten = !isKnown
    this.failures = row.failures
    this.retryAt = row.retry_at
    this.events = isKnown ? [] : undefined
    this.mayHaveLists = !isKnown
    this.mayHaveMessages = !isKnown
  }

  get hasWork(): boolean {
    const mayHaveMore = this.mayHaveLists || this.mayHaveMessages || this.missed !== undefined
    return this.events?.length !== 0 || mayHaveMore || this.passing.size > 0
  }

  /** Up to which position it is known what there is to tell. */
  knownUpTo(stream: number): number {
    return this.events === undefined ? stream : this.followed.position
  }

  /** An event to be told, in the order of the stream. */
  addEvent(event: PendingEvent): void {
    this.#pass(event.position)
    if (event.position <= this.acked) return
    this.events?.push(event)
    // So many are better read again than remembered.
    if (this.events && this.events.length > mostInOrder) this.events = undefined
  }

  /** A device list changed. */
  addList(position: number): void {
    this.#pass(position)
    this.mayHaveLists = true
  }

  /** Everything before a position is told, or does not concern the server. */
  #pass(position: number): void {
    if (this.events?.length === 0 && !this.mayHaveLists) this.acked = Math.max(this.acked, position - 1)
  }

  /** Something may have been missed: what there is to tell has to be looked for. */
  lookAgain(): void {
    this.events = undefined
    this.mayHaveLists = true
    this.mayHaveMessages = true
  }

  /** Takes in that everything up to a position has been told, and the first of the events that were to be. */
  advance(position: number, told = 0): void {
    this.acked = Math.max(this.acked, position)
    this.events = this.events?.slice(told).filter((event) => event.position > this.acked)
  }

  /** Begins to send unless that is under way, or has to wait. */
  start(federation: Federation, stop: AbortSignal): void {
    if (this.running || this.timer || stop.aborted || !this.hasWork) return
    const { clock, log } = federation.ctx
    this.behindSince ??= clock.monotonic()
    const wait = this.retryAt - clock.now()
    if (wait > 0) {
      this.#startLater(federation, stop, wait)
      return
    }
    this.#showedItself = false
    this.running = sendAll(federation, this, stop)
      .then((isOwner) => (isOwner ? 0 : patience))
      .catch((error: unknown) => {
        log.warn({ err: error, server: this.server }, 'A server could not be told')
        return patience
      })
      .then((delay) => {
        this.running = undefined
        if (this.#showedItself) this.retryAt = 0
        if (!this.hasWork) {
          this.behindSince = undefined
          return
        }
        if (delay > 0) this.#startLater(federation, stop, delay)
        else this.start(federation, stop)
      })
  }

  /** Whether it is only tried again after a while, or will be if the attempt that is under way fails. */
  get isPutOff(): boolean {
    const isLastAttempt = this.running !== undefined && !this.#showedItself
    return this.failures > 0 && (this.retryAt > 0 || isLastAttempt)
  }

  /** The server has been heard of: no need to wait any longer. */
  startNow(federation: Federation, stop: AbortSignal): void {
    if (!this.isPutOff) return
    this.#showedItself = true
    clearTimeout(this.timer)
    this.timer = undefined
    this.retryAt = 0
    this.start(federation, stop)
  }

  #startLater(federation: Federation, stop: AbortSignal, wait: number): void {
    if (this.timer || stop.aborted) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.start(federation, stop)
    }, wait)
    this.timer.unref()
  }
}

/**
 * Sends until nothing is left, or the server does not take it.
 *
 * @returns false when another process is at it.
 */
async function sendAll(federation: Federation, to: Destination, stop: AbortSignal): Promise<boolean> {
  const { database, processId, stream } = federation.ctx
  const [row] = await database.read(ownDestination, [to.origin, to.server, to.acked, processId, ownedFor])
  to.isWritten = true
  if (!row) return false
  to.advance(row.acked_position)
  to.missed = missedIn(row)
  if (row.retry_at > to.retryAt && row.failures > to.failures) {
    to.failures = row.failures
    to.retryAt = row.retry_at
  }
  if (to.retryAt > federation.ctx.clock.now()) {
    await save(federation, to, 0)
    return true
  }
  try {
    await setMissedAside(federation, to)
    while (!stop.aborted && to.hasWork) {
      const upTo = to.knownUpTo(stream.position)
      const transaction = await nextTransaction(federation, to, upTo)
      const isEmpty = transaction.pdus.length + transaction.edus.length === 0
      if (!isEmpty && !(await send(federation, to, transaction, stop))) return true
      if (transaction.isNews) to.advance(transaction.reached, transaction.told)
      to.missed = transaction.missed
      to.passing.remove(transaction.passing)
      if (!transaction.isFull && to.knownUpTo(stream.position) === upTo) {
        to.events ??= []
        to.mayHaveLists = false
        to.mayHaveMessages = false
      }
      if (isEmpty) continue
      if (transaction.toDevice > 0) {
        await database.read(deleteOutgoingToDevice, [to.origin, to.server, transaction.toDevice])
      }
      const wasPutOff = to.failures > 0
      to.failures = 0
      to.retryAt = 0
      // Also by the other processes.
      if (wasPutOff) federation.ctx.invalidations.publish('destinations', to.server)
      to.behindSince = federation.ctx.clock.monotonic()
      await save(federation, to, ownedFor)
    }
    return true
  } finally {
    await save(federation, to, 0)
  }
}

function save({ ctx }: Federation, to: Destination, owned: number): Promise<readonly never[]> {
  const { origin, server, acked, failures, retryAt, missed } = to
  const achieved = [acked, failures, retryAt, missed?.after ?? null, missed?.upTo ?? null]
  return ctx.database.read(saveDestination, [origin, server, ...achieved, ctx.processId, owned])
}

function missedIn({ missed_after: after, missed_up_to: upTo }: DestinationRow): Missed | undefined {
  return after === null || upTo === null ? undefined : { after, upTo }
}

async function send(
  { ctx, client, metrics }: Federation,
  to: Destination,
  transaction: Transaction,
  stop: AbortSignal,
): Promise<boolean> {
  const { origin, server } = to
  const { pdus, edus, reached, lastEvent, toDevice } = transaction
  // The same under the same id again, so that what arrived before is answered and not done twice.
  const isLasting = transaction.passing.length === 0
  const missed = to.missed ? `-${to.missed.upTo}-${transaction.missed?.upTo ?? to.missed.after}` : ''
  const txnId = isLasting ? `${to.acked}-${reached}-${lastEvent}-${toDevice}${missed}` : ctx.random.token(12)
  const body = { origin, origin_server_ts: ctx.clock.now(), pdus, edus }
  try {
    const uri = `/_matrix/federation/v1/send/${txnId}`
    await client.send(server, { method: 'PUT', uri, body, origin, timeout: sendTimeout })
    metrics.sent(pdus.length, edus.length)
    return true
  } catch (error) {
    // The connections were closed here: that says nothing about the server.
    if (stop.aborted) return false
    ctx.log.debug({ server, error: (error as Error).message }, 'A transaction was not taken')
    to.failures++
    to.retryAt = ctx.clock.now() + Math.min(firstRetry * 2 ** Math.min(to.failures - 1, 20), longestRetry)
    to.passing.clear()
    return false
  }
}
