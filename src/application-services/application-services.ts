import { LRUCache } from 'lru-cache'
import { type Requester, tokenHashOf } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomAlias, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Person } from '../presence/person.ts'
import { type AccountRow, findAccount } from '../storage/accounts.ts'
import { upTo } from '../storage/caches.ts'
import { findDevice } from '../storage/devices.ts'
import { createServiceClient, type ServiceClient } from './ask-service.ts'
import { isUserOf } from './interest.ts'
import { createRecentFacts } from './recent-facts.ts'
import { type ApplicationService, readRegistrations } from './registration.ts'
import { ServiceTeller } from './tell-service.ts'

/** The application services that the operator registered. */
export type ApplicationServices = {
  readonly all: readonly ApplicationService[]
  readonly client: ServiceClient
  /**
   * Whose token it is.
   *
   * @param tokenHash as `tokenHashOf` gives it.
   */
  ofToken(tokenHash: string): ApplicationService | undefined
  /**
   * Who a service acts as.
   *
   * Spec: Application Service API, "Identity assertion" (v1.19).
   *
   * @throws MatrixError M_FORBIDDEN for a user that is not its own, or does not exist; M_UNKNOWN_DEVICE.
   */
  actAs(
    service: ApplicationService,
    as: { userId?: string | undefined; deviceId?: string | undefined },
  ): Promise<Requester>
  isUserOf(service: ApplicationService, userId: UserId): boolean
  /** @throws MatrixError M_EXCLUSIVE for an id that belongs to another service. */
  checkUser(userId: UserId, by: ApplicationService | undefined): void
  /** Likewise; a service may make aliases of its own namespaces only. */
  checkAlias(alias: RoomAlias, by: ApplicationService | undefined): void
  /** Somebody types in a room, or does no longer. */
  typing(room: number): void
  /** The presence of some people has changed. */
  presence(people: ReadonlySet<Person>): void
  /** Tries again at once to tell a service, if it is this process that does. */
  retry(service: ApplicationService): void
  /** Begins to tell services what happens, those that this process comes to own. */
  start(): void
  close(): Promise<void>
}

type Engine = Pick<
  Context,
  'config' | 'database' | 'domains' | 'invalidations' | 'ownership' | 'closing' | 'readFacts'
> &
  Omit<ConstructorParameters<typeof ServiceTeller>[0], 'client' | 'recent'>

const rememberedUsers = 20_000

/** @throws ConfigError about the registration files. */
export function createApplicationServices(ctx: Engine): ApplicationServices {
  const all = readRegistrations(ctx.config.app_service_config_files, ctx.domains.default)
  const client = createServiceClient()
  const byToken = new Map(all.map((service) => [tokenHashOf(service.asToken), service]))
  const tellers = new Map<string, ServiceTeller>()
  const findUser = createUserLookup(ctx)
  const recent = all.some(({ url }) => url !== undefined) ? createRecentFacts(ctx) : undefined

  let started = false

  const refuse = (): never => {
    throw new MatrixError('M_EXCLUSIVE', 'This name belongs to an application service')
  }

  return {
    all,
    client,
    ofToken: (tokenHash) => byToken.get(tokenHash),
    isUserOf: (service, userId) => isUserOf(ctx, service, userId),
    async actAs(service, { userId = service.sender, deviceId }) {
      if (!isUserOf(ctx, service, userId as UserId)) {
        throw new MatrixError('M_FORBIDDEN', 'Application service cannot masquerade as this user')
      }
      const account = await findUser(userId as UserId)
      if (!account) throw new MatrixError('M_FORBIDDEN', 'Application service has not registered this user')
      if (account.deactivated_at !== null)
        throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
      if (deviceId !== undefined && !(await findDevice(ctx.database.db, account.user_nid, deviceId))) {
        throw new MatrixError('M_UNKNOWN_DEVICE', 'The user has no such device')
      }
      return requesterOf(service, account, deviceId)
    },
    checkUser(userId, by) {
      if (all.some((service) => service !== by && isExclusiveUser(service, userId))) refuse()
    },
    checkAlias(alias, by) {
      if (by && !by.aliases.includes(alias)) refuse()
      if (all.some((service) => service !== by && service.aliases.isExclusive(alias))) refuse()
    },
    typing(room) {
      for (const teller of tellers.values()) teller.typing(room)
    },
    presence(people) {
      for (const teller of tellers.values()) teller.presence(people)
    },
    retry: (service) => tellers.get(service.id)?.retry(),
    start() {
      if (!recent || started) return
      started = true
      ctx.stream.follow(() => {
        for (const teller of tellers.values()) teller.wake()
      })
      for (const service of all) {
        if (service.url === undefined) continue
        ctx.ownership.claim(`application service ${service.id}`, (lost) => {
          const teller = new ServiceTeller({ ...ctx, client, recent }, service, AbortSignal.any([lost, ctx.closing]))
          tellers.set(service.id, teller)
          teller.begin()
        })
      }
    },
    async close() {
      await Promise.all([...tellers.values()].map((teller) => teller.end()))
      await client.close()
    },
  }
}

function isExclusiveUser(service: ApplicationService, userId: UserId): boolean {
  return userId === service.sender || service.users.isExclusive(userId)
}

/** Accounts are remembered until something about them changes. */
function createUserLookup(ctx: Engine): (userId: UserId) => Promise<AccountRow | undefined> {
  const known = new LRUCache<UserId, AccountRow>(upTo(rememberedUsers))
  let generation = 0
  ctx.invalidations.subscribe('user', (key) => {
    generation++
    if (key === undefined) known.clear()
    else known.delete(key as UserId)
  })
  return async (userId) => {
    const found = ctx.invalidations.connected ? known.get(userId) : undefined
    if (found) return found
    const before = generation
    const account = await findAccount(ctx.database.db, userId)
    if (account && generation === before) known.set(userId, account)
    return account
  }
}

function requesterOf(service: ApplicationService, account: AccountRow, deviceId: string | undefined): Requester {
  return {
    userId: account.user_id,
    userNid: account.user_nid,
    deviceId,
    domain: serverNameOf(account.user_id),
    isAdmin: account.is_admin,
    isGuest: account.is_guest,
    isLocked: account.locked,
    isSuspended: account.suspended,
    tokenHash: tokenHashOf(service.asToken),
    service,
  }
}
