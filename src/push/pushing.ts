import type { Context } from '../context.ts'
import { pause } from '../pause.ts'
import type { Fact } from '../storage/facts.ts'
import { enabledPushers, type PusherState, pushersToldOf } from '../storage/pushers.ts'
import { openFollower, saveFollower } from '../storage/stream-followers.ts'
import { type Delivery, deliver, type Errand } from './deliver.ts'
import { createPushGateway } from './push-gateway.ts'
import type { PusherKind } from './pusher-kinds.ts'

/**
 * Tells pushers what happens. One process of the deployment does, and follows the stream for all of them: a batch of events
 * costs one statement, which names the pushers they are for; each of these is then served by itself, in order.
 *
 * Nothing is queued in the database. The position of the follower rises once everything before it was told, or its pusher
 * is marked as failing, and then keeps a position of its own.
 */
export type Pushing = {
  kind(name: string): PusherKind | undefined
  /** Adds a kind of pushers. */
  use(name: string, kind: PusherKind): void
  /** Pushers that are to be told something, by this process. */
  readonly waiting: number
  /** Begins to push, once this process is the one that does. */
  start(): void
  close(): Promise<void>
}

type Engine = Parameters<typeof deliver>[0] &
  Pick<Context, 'ownership' | 'readFacts' | 'stream' | 'invalidations' | 'config' | 'closing'>

const followerName = 'push'
/** Positions read at once while catching up. */
const spanMax = 1000
/** Pushers served at the same time. */
const mostAtOnce = 100
/** Milliseconds between two notes of how far it is. */
const saveEvery = 1000
/** Milliseconds before an errand that the database did not let through is tried again. */
const retryAfterError = 1000

export function createPushing(ctx: Engine): Pushing {
  const gateway = createPushGateway(ctx)
  const kinds = new Map<string, PusherKind>([['http', gateway]])
  let started = false
  let running: PushRun | undefined

  return {
    kind: (name) => kinds.get(name),
    use: (name, kind) => kinds.set(name, kind),
    get waiting() {
      return running?.waiting ?? 0
    },
    start() {
      if (started) return
      started = true
      // Facts are told to followers before any later one can be asked for, so it follows from the beginning.
      ctx.stream.follow((facts, { position }) => running?.take(facts, position))
      ctx.invalidations.subscribe('pushers', (key) => running?.reload(key === undefined ? undefined : Number(key)))
      ctx.ownership.claim(followerName, (lost) => {
        running = new PushRun(ctx, (name) => kinds.get(name), AbortSignal.any([lost, ctx.closing]))
        running.begin()
      })
    },
    async close() {
      await running?.end()
      await gateway.close()
    },
  }
}

type Job = {
  readonly pusher: number
  /** What it has to do next. */
  errand: Errand | undefined
  /** What it is doing, or has to do again. */
  current: Errand | undefined
  timer: NodeJS.Timeout | undefined
}

/** The time during which this process pushes for the deployment. */
class PushRun {
  readonly #ctx: Engine
  readonly #kindOf: (name: string) => PusherKind | undefined
  readonly #stop: AbortSignal
  /** The pushers there are, by user. */
  readonly #known = new Map<number, Set<number>>()
  readonly #jobs = new Map<number, Job>()
  readonly #waiting = new Set<Job>()
  readonly #underWay = new Set<Promise<void>>()
  /** Facts are looked at one batch after the other. */
  #looking: Promise<void> = Promise.resolve()
  /** Every pusher with something up to here to be told of has a job. */
  #scanned = 0
  #saved = 0
  #saver: NodeJS.Timeout | undefined

  constructor(ctx: Engine, kindOf: (name: string) => PusherKind | undefined, stop: AbortSignal) {
    this.#ctx = ctx
    this.#kindOf = kindOf
    this.#stop = stop
  }

  get waiting(): number {
    return this.#jobs.size
  }

  begin(): void {
    this.#saver = setInterval(() => void this.#save(), saveEvery)
    this.#saver.unref()
    this.#stop.addEventListener('abort', () => {
      clearInterval(this.#saver)
      for (const { timer } of this.#jobs.values()) clearTimeout(timer)
    })
    this.#queue(async () => {
      const [row] = await this.#ctx.database.read(openFollower, [followerName])
      this.#scanned = this.#saved = row!.position
      this.#adopt(await this.#ctx.database.read(enabledPushers, [null]), { isNew: false })
      // What was told to the followers before this process took over, it did not look at.
      await this.#scanUpTo(this.#ctx.stream.position)
    })
  }

  take(facts: readonly Fact[], position: number): void {
    if (this.#stop.aborted) return
    this.#queue(async () => {
      if (position <= this.#scanned) return
      const news = facts.filter((fact) => fact.position > this.#scanned)
      if (this.#known.size > 0) await this.#look(news, position)
      this.#scanned = position
    })
  }

  /** Somebody's pushers changed, or anybody's. */
  reload(userNid: number | undefined): void {
    this.#queue(async () => {
      const rows = await this.#ctx.database.read(enabledPushers, [userNid ?? null])
      const before = new Set(userNid === undefined ? [] : this.#known.get(userNid))
      if (userNid !== undefined) this.#known.delete(userNid)
      this.#adopt(
        rows.filter((row) => !before.has(row.pusher) && this.#known.get(row.user_nid)?.has(row.pusher) !== true),
        { isNew: true },
      )
      for (const row of rows.filter(({ pusher }) => before.has(pusher))) {
        this.#remember(row)
        if (row.failing_since !== null) this.#wakeAgain(row)
      }
    })
  }

  async end(): Promise<void> {
    clearInterval(this.#saver)
    await this.#looking
    for (const { timer } of this.#jobs.values()) clearTimeout(timer)
    await Promise.allSettled(this.#underWay)
    await this.#save({ isLast: true })
  }

  #queue(work: () => Promise<void>): void {
    const attempt = async (): Promise<void> => {
      while (!this.#stop.aborted) {
        try {
          await work()
          return
        } catch (error) {
          this.#ctx.log.warn({ err: error }, 'Pushers are not told yet')
          await pause(retryAfterError, this.#stop)
        }
      }
    }
    this.#looking = this.#looking.then(attempt)
  }

  #remember({ user_nid: userNid, pusher }: PusherState): void {
    const pushers = this.#known.get(userNid)
    if (pushers) pushers.add(pusher)
    else this.#known.set(userNid, new Set([pusher]))
  }

  #adopt(rows: readonly PusherState[], { isNew }: { isNew: boolean }): void {
    for (const row of rows) {
      this.#remember(row)
      if (isNew || row.failing_since !== null) this.#wakeAgain(row)
    }
  }

  /** From the database, what the followers of this process were told before it pushed. */
  async #scanUpTo(position: number): Promise<void> {
    while (this.#scanned < position && !this.#stop.aborted) {
      const upTo = Math.min(position, this.#scanned + spanMax)
      if (this.#known.size > 0) await this.#look(await this.#ctx.readFacts(this.#scanned, upTo), upTo)
      this.#scanned = upTo
    }
  }

  /** Finds out which pushers facts are for: all rooms of one pusher at once, so that none is passed over. */
  async #look(facts: readonly Fact[], upTo: number): Promise<void> {
    const errands = new Map<number, Errand>()
    const add = (pusher: number, errand: Errand): void => {
      const other = errands.get(pusher)
      errands.set(pusher, other ? both(other, errand) : errand)
    }
    const showUnread = (userNid: number, after: number): void => {
      for (const pusher of this.#known.get(userNid) ?? []) add(pusher, { after, upTo, rooms: new Set(), badge: true })
    }
    const nids: number[] = []
    for (const fact of facts) {
      const after = fact.position - 1
      if (fact.kind === 'read' || fact.kind === 'remoteMembership') showUnread(fact.userNid, after)
      if (fact.kind !== 'event') continue
      nids.push(fact.stored.nid)
      // Whoever writes in a room has read it; whoever leaves has nothing unread there; invites are found by their user.
      showUnread(fact.stored.senderNid, after)
      for (const { userNid } of fact.memberships) showUnread(userNid, after)
    }
    if (nids.length > 0) {
      for (const row of await this.#ctx.database.read(pushersToldOf, [nids])) {
        add(row.pusher, { after: row.first - 1, upTo, rooms: new Set([row.room]), badge: false })
      }
    }
    for (const [pusher, errand] of errands) this.#wake(pusher, errand)
  }

  /** A pusher that is new, or whose pushes failed: whatever came after its own position, in any room. */
  #wakeAgain({ pusher, position }: Pick<PusherState, 'pusher' | 'position'>): void {
    this.#wake(pusher, { after: position, upTo: this.#scanned, rooms: undefined, badge: true })
  }

  #wake(pusher: number, errand: Errand): void {
    let job = this.#jobs.get(pusher)
    if (!job) this.#jobs.set(pusher, (job = { pusher, errand: undefined, current: undefined, timer: undefined }))
    job.errand = job.errand ? both(job.errand, errand) : errand
    if (!job.current && !job.timer) this.#run(job)
  }

  #run(job: Job): void {
    if (this.#stop.aborted) return
    if (this.#underWay.size >= mostAtOnce) {
      this.#waiting.add(job)
      return
    }
    const errand = job.errand!
    job.errand = undefined
    job.current = errand
    const serving = deliver(this.#ctx, this.#kindOf, job.pusher, errand, this.#stop)
      .catch((error: unknown): undefined => {
        this.#ctx.log.warn({ err: error }, 'A pusher is not told yet')
      })
      .then((delivery) => {
        this.#underWay.delete(serving)
        // What was not told because everything stops, whoever goes on tells: the position stays before it.
        if (!this.#stop.aborted) this.#finish(job, delivery)
        const [next] = this.#waiting
        if (!next) return
        this.#waiting.delete(next)
        this.#run(next)
      })
    this.#underWay.add(serving)
  }

  /** @param delivery undefined: it has to be done again as it was. */
  #finish(job: Job, delivery: Delivery | undefined): void {
    const { current } = job
    if (delivery !== undefined) job.current = undefined
    if (delivery === 'gone') this.#jobs.delete(job.pusher)
    else if (delivery !== 'done') {
      const wait = delivery === undefined ? retryAfterError : delivery.retryAt - this.#ctx.clock.now()
      job.timer = setTimeout(
        () => {
          job.timer = undefined
          job.current = undefined
          if (delivery === undefined) this.#wake(job.pusher, current!)
          else this.#wakeAgain({ pusher: job.pusher, position: 0 })
        },
        Math.max(0, wait),
      )
      job.timer.unref()
    } else if (job.errand) this.#run(job)
    else this.#jobs.delete(job.pusher)
  }

  /** Notes up to where nobody is left to be told who is not marked as failing. */
  async #save(options: { isLast?: boolean } = {}): Promise<void> {
    // Nobody would be told anything if it were read again.
    if (this.#known.size === 0 && !options.isLast) return
    let position = this.#scanned
    for (const { current, errand, timer } of this.#jobs.values()) {
      if (current) position = Math.min(position, current.after)
      // One that waits after a failure has its position in its own row.
      if (errand && (current || !timer)) position = Math.min(position, errand.after)
    }
    if (position <= this.#saved) return
    this.#saved = position
    await this.#ctx.database.read(saveFollower, [followerName, position]).catch(() => {})
  }
}

function both(one: Errand, other: Errand): Errand {
  return {
    after: Math.min(one.after, other.after),
    upTo: Math.max(one.upTo, other.upTo),
    rooms: one.rooms && other.rooms && one.rooms.union(other.rooms),
    badge: one.badge || other.badge,
  }
}
