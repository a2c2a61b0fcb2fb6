import type { Context } from '../context.ts'
import type { Person } from '../presence/person.ts'
import {
  openService,
  type ServiceStateRow,
  saveAcknowledged,
  saveServiceFailure,
  saveServicePosition,
  saveTransaction,
} from '../storage/application-services.ts'
import type { ServiceClient } from './ask-service.ts'
import { buildTransaction, hasEphemeral } from './build-transaction.ts'
import { createInterest, type Interest } from './interest.ts'
import type { RecentFacts } from './recent-facts.ts'
import type { ApplicationService } from './registration.ts'

type Engine = Parameters<typeof buildTransaction>[0] &
  Parameters<typeof createInterest>[0] &
  Pick<Context, 'stream' | 'log'>

/** Milliseconds before the first new attempt; doubled by each failure. */
const firstRetry = 1_000
const longestRetry = 300_000
/** Milliseconds that a service has for a transaction. */
const timeout = 60_000
/** Positions looked at for one transaction. */
const spanMax = 1_000
/** Positions without interest after which it is noted how far it is. */
const noteEvery = 1_000
/** Those whose presence changed and who are remembered for one transaction. */
const peopleMax = 1_000
/** Milliseconds before something that the database did not let through is tried again. */
const retryAfterError = 1_000

/**
 * Tells one application service what happens, from the time this process owns it until `stop`: one transaction after the
 * other, each fixed in the database before it is sent, so that a retry, by whichever process, brings the same under the
 * same id.
 *
 * Spec: Application Service API, "Pushing events" (v1.19).
 */
export class ServiceTeller {
  readonly #ctx: Engine & { readonly client: ServiceClient; readonly recent: RecentFacts }
  readonly #service: ApplicationService
  readonly #stop: AbortSignal
  readonly #interest: Interest
  /** Rooms where somebody began or stopped typing. */
  #typing = new Set<number>()
  /** Those whose presence changed. */
  #people = new Set<Person>()
  #wake: (() => void) | undefined
  #retryNow = false
  #running: Promise<void> = Promise.resolve()

  constructor(
    ctx: Engine & { readonly client: ServiceClient; readonly recent: RecentFacts },
    service: ApplicationService,
    stop: AbortSignal,
  ) {
    this.#ctx = ctx
    this.#service = service
    this.#stop = stop
    this.#interest = createInterest(ctx, service)
    stop.addEventListener('abort', () => this.#wake?.(), { once: true })
  }

  begin(): void {
    this.#running = this.#run()
  }

  /** There may be something new. */
  wake(): void {
    this.#wake?.()
  }

  typing(room: number): void {
    this.#typing.add(room)
    this.#wake?.()
  }

  presence(people: ReadonlySet<Person>): void {
    // What waits for a service to come back is not worth to be told then.
    if (!hasEphemeral(this.#service) || this.#people.size > peopleMax) return
    for (const person of people) this.#people.add(person)
    this.#wake?.()
  }

  /** The service was heard of: what waits for the next attempt need not wait. */
  retry(): void {
    this.#retryNow = true
    this.#wake?.()
  }

  end(): Promise<void> {
    return this.#running
  }

  async #run(): Promise<void> {
    let state: ServiceStateRow | undefined
    while (!this.#stop.aborted) {
      try {
        state ??= (await this.#ctx.database.read(openService, [this.#service.id]))[0]!
        state = await this.#step(state)
      } catch (error) {
        this.#ctx.log.warn({ err: error, service: this.#service.id }, 'An application service is not told yet')
        state = undefined
        await this.#pause(retryAfterError)
      }
    }
    // What memory knows to be of no interest need not be looked at again.
    if (state && state.pending === null) {
      await this.#ctx.database.read(saveServicePosition, [this.#service.id, state.position]).catch(() => {})
    }
  }

  /** @returns undefined when another process has changed what the database says. */
  async #step(state: ServiceStateRow): Promise<ServiceStateRow | undefined> {
    if (state.pending !== null) return this.#send(state, state.pending)
    const upTo = Math.min(this.#ctx.stream.position, state.position + spanMax)
    const typing = this.#typing
    const people = this.#people
    if (upTo <= state.position && typing.size + people.size === 0) {
      await this.#pause(undefined)
      return state
    }
    this.#typing = new Set()
    this.#people = new Set()
    const facts = await this.#ctx.recent.between(state.position, upTo)
    const built = await buildTransaction(this.#ctx, this.#service, this.#interest, { facts, upTo, typing, people })
    if (built.body === undefined) return this.#skip(state, built.upTo)
    const values = [this.#service.id, built.upTo, built.body, state.last_transaction]
    const [saved] = await this.#ctx.database.read(saveTransaction, values)
    if (!saved) return undefined
    return { ...state, position: built.upTo, pending: built.body, last_transaction: saved.last_transaction }
  }

  async #skip(state: ServiceStateRow, upTo: number): Promise<ServiceStateRow> {
    const isFar = Math.floor(upTo / noteEvery) > Math.floor(state.position / noteEvery)
    if (isFar) await this.#ctx.database.read(saveServicePosition, [this.#service.id, upTo])
    return { ...state, position: upTo }
  }

  async #send(state: ServiceStateRow, body: string): Promise<ServiceStateRow | undefined> {
    const { id } = this.#service
    const wait = state.retry_at - this.#ctx.clock.now()
    if (wait > 0 && !this.#retryNow) {
      await this.#pause(wait)
      return state
    }
    this.#retryNow = false
    if (await this.#arrives(state.last_transaction, body)) {
      const [saved] = await this.#ctx.database.read(saveAcknowledged, [id, state.last_transaction])
      return saved && { ...state, pending: null, failures: 0, retry_at: 0 }
    }
    const failures = state.failures + 1
    const retryAt = this.#ctx.clock.now() + Math.min(firstRetry * 2 ** Math.min(state.failures, 20), longestRetry)
    await this.#ctx.database.read(saveServiceFailure, [id, retryAt])
    return { ...state, failures, retry_at: retryAt }
  }

  async #arrives(transaction: number, body: string): Promise<boolean> {
    try {
      const answer = await this.#ctx.client.ask(this.#service, {
        method: 'PUT',
        path: `/_matrix/app/v1/transactions/${transaction}`,
        legacyPath: `/transactions/${transaction}`,
        body,
        timeout,
      })
      if (answer.status >= 200 && answer.status < 300) return true
      this.#ctx.log.info({ service: this.#service.id, status: answer.status }, 'An application service refuses')
    } catch (error) {
      const { message } = error as Error
      this.#ctx.log.info({ service: this.#service.id, error: message }, 'An application service cannot be reached')
    }
    return false
  }

  /** Waits for something new, at most so long. */
  #pause(milliseconds: number | undefined): Promise<void> {
    if (this.#stop.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(() => this.#wake?.(), milliseconds)
      timer?.unref()
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }
}
