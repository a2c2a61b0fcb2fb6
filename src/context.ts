import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import release from '../package.json' with { type: 'json' }
import { type AccountDataChanges, createAccountDataChanges } from './account-data/account-data-changes.ts'
import { createMissingAccounts } from './accounts/create-account.ts'
import { createRequesters, type Requesters } from './accounts/requesters.ts'
import { createJobs, type Jobs } from './admin/jobs.ts'
import { runDeleteRoom } from './admin/rooms/delete-room.ts'
import { runPurgeHistory } from './admin/rooms/purge-history.ts'
import { runRedactUser } from './admin/users/redact-user.ts'
import { type ApplicationServices, createApplicationServices } from './application-services/application-services.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { createDelayedEvents, type DelayedEvents } from './delayed-events/delayed-events.ts'
import { createLastSeen, type LastSeen } from './devices/last-seen.ts'
import { type Domains, openDomains } from './domains.ts'
import { createRateLimits, type RateLimits } from './http/rate-limit.ts'
import { createIdentityServers, type IdentityServers } from './identity-servers/identity-servers.ts'
import { createInvalidations, type Invalidations } from './invalidation.ts'
import { createDeviceKeys, type DeviceKeys } from './keys/device-keys.ts'
import { createSentToDevice, type SentToDevice } from './keys/sent-to-device.ts'
import { createLog } from './log.ts'
import { createMail, type Mail } from './mail/mail.ts'
import type { RoomId } from './matrix/ids.ts'
import { type RoomVersion, roomRules } from './matrix/room-versions.ts'
import { createMedia, type Media } from './media/media.ts'
import { watchCaches } from './metrics/cache-metrics.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { watchState } from './metrics/state-metrics.ts'
import { createPresence, type Presence } from './presence/presence.ts'
import { createUrlPreviews, type UrlPreviews } from './previews/url-previews.ts'
import { createProfileUpdates, type ProfileUpdates } from './profiles/profile-updates.ts'
import { createProfiles, type Profiles } from './profiles/profiles.ts'
import { createMailDigests, type MailDigests } from './push/mail-digests.ts'
import { createPushRules, type PushRules } from './push/push-rules.ts'
import { createPushing, type Pushing } from './push/pushing.ts'
import { type Random, randomFrom } from './random.ts'
import { type Audiences, createAudiences } from './rooms/audience.ts'
import { type BlockedRooms, createBlockedRooms } from './rooms/blocked-rooms.ts'
import { createGuestRemoval, type GuestRemoval } from './rooms/guests.ts'
import { createHotRooms, type HotRooms } from './rooms/hot-rooms.ts'
import { createRemoteServersPlace, type RemoteServersPlace } from './rooms/ports.ts'
import { createTransactionPruning, type TransactionPruning } from './rooms/prune-transactions.ts'
import { createRelations, type Relations } from './rooms/relations.ts'
import { createSentTransactions, type SentTransactions } from './rooms/send-event.ts'
import { createStickyEvents, type StickyEvents } from './rooms/sticky-events.ts'
import { createThreadAudiences, type ThreadAudiences } from './rooms/thread-audience.ts'
import { createSearchIndex, type SearchIndex } from './search/search-index.ts'
import { type Caches, createCaches } from './storage/caches.ts'
import { type Database, openDatabase } from './storage/database.ts'
import { createDictionaries, type Dictionaries } from './storage/dictionaries.ts'
import { createEventStore, type EventStore } from './storage/events.ts'
import { operations } from './storage/operations.ts'
import { createOwnership, type Ownership } from './storage/ownership.ts'
import { createReadFacts } from './storage/read-facts.ts'
import { createStream, type ReadFacts, type Stream, streamPosition } from './storage/stream.ts'
import { createWriter, type Writer } from './storage/writer.ts'
import { createFeeds, type Feeds } from './sync/feeds.ts'
import { createRoomWaiters, type RoomWaiters } from './sync/room-waiters.ts'
import { createSessions, type Sessions } from './sync/sessions.ts'
import { createSlidingSync, type SlidingParts } from './sync/sliding/sliding-sync.ts'
import { createTyping, type Typing } from './sync/typing.ts'
import { systemClock } from './system-clock.ts'
import { observeBatches, observeStatements } from './tracing/observe-statements.ts'
import { openTracing, type Tracing } from './tracing/tracing.ts'

/**
 * What the program is made of: built once, never changed, and passed as the first argument. A function asks for the
 * fields it uses, `Pick<Context, 'database' | 'clock'>`.
 */
export type Context = {
  readonly config: Config
  readonly domains: Domains
  readonly database: Database
  /** For commands; they fail at once while Redis is away. Absent in a deployment of one process. */
  readonly redis: Redis | undefined
  readonly log: Logger
  /** What operators can watch. */
  readonly metrics: Metrics
  /** Undefined: nothing is traced. */
  readonly tracing: Tracing | undefined
  /** Where what is remembered is counted. */
  readonly caches: Caches
  readonly clock: Clock
  readonly random: Random
  /** Distinguishes the processes of one deployment; new at every start. */
  readonly processId: string
  readonly invalidations: Invalidations
  readonly rateLimits: RateLimits
  /** Who an access token belongs to. */
  readonly requesters: Requesters
  readonly lastSeen: LastSeen
  /** The numbers that stand for users and event kinds. */
  readonly dictionaries: Dictionaries
  readonly events: EventStore
  /** The one way by which events and everything else on the stream is written. */
  readonly writer: Writer
  /** What was written, in order, here and by other processes. */
  readonly stream: Stream
  readonly readFacts: ReadFacts
  /** What only one process of the deployment does at a time. */
  readonly ownership: Ownership
  readonly hotRooms: HotRooms
  readonly sentTransactions: SentTransactions
  readonly sentToDevice: SentToDevice
  readonly transactionPruning: TransactionPruning
  readonly profiles: Profiles
  /** Undefined: nobody is told of them. */
  readonly profileUpdates: ProfileUpdates | undefined
  readonly relations: Relations
  readonly audiences: Audiences
  readonly threadAudiences: ThreadAudiences
  /** Undefined: there are none. */
  readonly stickyEvents: StickyEvents | undefined
  readonly accountDataChanges: AccountDataChanges
  readonly pushRules: PushRules
  readonly pushing: Pushing
  readonly deviceKeys: DeviceKeys
  /** What happened lately in the active rooms, and to the active users. */
  readonly feeds: Feeds
  readonly sessions: Sessions
  readonly typing: Typing
  readonly roomWaiters: RoomWaiters
  /** Undefined: users do not see who is there. */
  readonly presence: Presence | undefined
  readonly slidingSync: SlidingParts
  readonly delayedEvents: DelayedEvents
  readonly searchIndex: SearchIndex
  readonly media: Media
  readonly urlPreviews: UrlPreviews
  readonly applicationServices: ApplicationServices
  readonly remoteServers: RemoteServersPlace
  readonly blockedRooms: BlockedRooms
  /** Undefined: no mail is sent. */
  readonly mail: Mail | undefined
  readonly identityServers: IdentityServers
  /** Undefined: users are told nothing by mail. */
  readonly mailDigests: MailDigests | undefined
  /** What administrators have done in the background. */
  readonly jobs: Jobs
  readonly guestRemoval: GuestRemoval
  /** Aborted when the process begins to stop: whoever makes a client wait answers it then. */
  readonly closing: AbortSignal
}

/** What differs between the program and its tests. */
export type Surroundings = {
  readonly clock?: Clock
  readonly random?: Random
  readonly log?: Logger
}

/** What closing a context takes, and nobody else needs. */
const closers = new WeakMap<Context, { stop: AbortController; disconnect(): void }>()

/**
 * Opens the database, Redis and the signing keys.
 *
 * @param databaseUrl where PostgreSQL is, when it is not `config.database.url` (embedded).
 * @throws ConfigError about the keys; whatever the drivers throw when a server cannot be reached.
 */
export async function createContext(
  config: Config,
  databaseUrl: string = config.database.url ?? '',
  surroundings: Surroundings = {},
): Promise<Context> {
  const log = surroundings.log ?? createLog(config)
  const clock = surroundings.clock ?? systemClock
  const random = surroundings.random ?? randomFrom(randomBytes)
  const domains = openDomains(config, random)
  const processId = random.token(9)
  const tracing = await openTracing(config, { version: release.version, processId })
  const database = await openDatabase({
    url: databaseUrl,
    observe: observeStatements(log, tracing),
    onError: (error) => log.warn({ error: error.message }, 'A database connection broke'),
  })
  const redis = config.redis.url === undefined ? undefined : openRedis(config.redis.url, log)
  const invalidations = createInvalidations({ prefix: config.redis.prefix, processId, log, ...(redis && { redis }) })
  const stop = new AbortController()
  const metrics = createMetrics()
  const caches = createCaches()
  watchCaches(metrics, caches)
  const base = {
    config,
    domains,
    database,
    log,
    metrics,
    tracing,
    caches,
    clock,
    random,
    processId,
    invalidations,
    closing: stop.signal,
  }
  const storage = await openStorage(base, redis)
  const hotRooms = createHotRooms({ ...base, ...storage })
  invalidations.subscribe('room', (roomId) => {
    const room = roomId === undefined ? undefined : hotRooms.peek(roomId as RoomId)
    if (room) hotRooms.drop(room)
    feeds.forget(roomId)
  })
  const feeds = createFeeds(storage.stream, caches)
  // After the feeds, which must know what those it wakes will ask for.
  const sessions = createSessions({ ...base, ...storage })
  const ownership = createOwnership(database, log)
  const accountDataChanges = createAccountDataChanges({ ...base, ...storage })
  const pushRules = createPushRules({ ...base, ...storage, accountDataChanges })
  const typing = createTyping(base, redis, (room) => {
    sessions.wakeRoom(room)
    applicationServices.typing(room)
  })
  const applicationServices = createApplicationServices({ ...base, ...storage, ownership, hotRooms, typing })
  await createMissingAccounts(
    { ...base, ...storage },
    applicationServices.all.map(({ sender }) => sender),
  )
  const presence = config.presence.enabled
    ? createPresence({ ...base, ...storage }, redis, typing.nextCounter, (rooms, people) => {
        for (const room of rooms) sessions.wakeRoom(room)
        applicationServices.presence(people)
      })
    : undefined
  const mail = createMail(base)
  const pushing = createPushing({ ...base, ...storage, ownership, hotRooms, pushRules })
  const mailDigests =
    mail && config.mail.notifications ? createMailDigests({ ...base, ownership, hotRooms, mail }) : undefined
  if (mailDigests) pushing.use('email', mailDigests.kind)
  const media = createMedia(base)
  const context: Context = {
    ...base,
    ...storage,
    ownership,
    hotRooms,
    sentTransactions: createSentTransactions(base),
    sentToDevice: createSentToDevice(base),
    transactionPruning: createTransactionPruning(base),
    profiles: createProfiles({ ...base, ...storage }),
    profileUpdates: config.experimental.msc4429 ? createProfileUpdates(storage) : undefined,
    relations: createRelations({ ...base, ...storage }),
    audiences: createAudiences({ ...base, ...storage, hotRooms }),
    stickyEvents: config.experimental.msc4354 ? await createStickyEvents({ ...base, ...storage }) : undefined,
    threadAudiences: createThreadAudiences({ ...base, ...storage, hotRooms }),
    accountDataChanges,
    pushRules,
    pushing,
    deviceKeys: createDeviceKeys({ ...base, ...storage }),
    feeds,
    sessions,
    slidingSync: createSlidingSync({ ...base, ...storage }),
    typing,
    roomWaiters: createRoomWaiters(storage),
    presence,
    delayedEvents: createDelayedEvents({ ...base, ...storage, ownership }, () => context),
    searchIndex: createSearchIndex({ ...base, ownership }),
    applicationServices,
    media,
    urlPreviews: createUrlPreviews({ ...base, media }),
    remoteServers: createRemoteServersPlace(),
    blockedRooms: await createBlockedRooms(base),
    mail,
    mailDigests,
    identityServers: createIdentityServers(config),
    guestRemoval: createGuestRemoval({ ...base, ...storage, ownership }),
    jobs: createJobs(
      { ...base, ownership },
      { 'delete room': runDeleteRoom, 'purge history': runPurgeHistory, 'redact user': runRedactUser },
    ),
    redis: redis?.publisher,
    rateLimits: createRateLimits({ ...base, redis: redis?.publisher }),
    requesters: createRequesters(base),
    lastSeen: createLastSeen(base),
  }
  watchState(context)
  closers.set(context, {
    stop,
    disconnect() {
      // Each for itself: one that is waiting to connect again tells nobody that it ends.
      redis?.subscriber.disconnect()
      redis?.publisher.disconnect()
    },
  })
  return context
}

async function openStorage(
  base: Pick<Context, 'config' | 'database' | 'log' | 'metrics' | 'tracing' | 'caches' | 'processId'>,
  redis: { publisher: Redis; subscriber: Redis } | undefined,
): Promise<Pick<Context, 'dictionaries' | 'events' | 'writer' | 'stream' | 'readFacts'>> {
  const { database, log, processId } = base
  const [row] = await database.read(streamPosition, [])
  const dictionaries = createDictionaries(database, base.caches)
  // A database never holds a room of a version that the program does not know: it is checked when a room is made.
  const events = createEventStore(database, dictionaries, (version) => roomRules(version as RoomVersion))
  const readFacts = createReadFacts(database, dictionaries, events)
  const stream = createStream({
    start: row!.position,
    database,
    readFacts,
    log,
    processId,
    ...(redis && { redis: { ...redis, prefix: base.config.redis.prefix } }),
  })
  const writer = await createWriter(database, {
    order: operations,
    onCommit: (commit) => stream.committed(commit),
    onError: (error) => log.error({ err: error }, 'A batch could not be written'),
    watch: base.metrics.writer,
    observe: observeBatches(log, base.tracing),
  })
  return { dictionaries, events, writer, stream, readFacts }
}

/** Lets everything that waits answer, without closing anything yet. */
export function beginClosing(context: Context): void {
  closers.get(context)?.stop.abort()
}

/** Closes what `createContext` opened. Call it once nothing is under way any more. */
export async function closeContext(context: Context): Promise<void> {
  beginClosing(context)
  context.typing.close()
  context.presence?.close()
  await context.delayedEvents.close()
  await context.searchIndex.close()
  await context.pushing.close()
  await context.applicationServices.close()
  await context.jobs.close()
  await context.guestRemoval.close()
  await context.mailDigests?.close()
  await context.mail?.close()
  await context.identityServers.close()
  await context.ownership.close()
  await context.urlPreviews.close()
  await context.media.close()
  await context.hotRooms.resolvers.close()
  await context.writer.close()
  await context.stream.close()
  await context.lastSeen.close()
  await context.stickyEvents?.close()
  await context.transactionPruning.close()
  await context.invalidations.close()
  context.metrics.close()
  closers.get(context)?.disconnect()
  await context.database.close()
  await context.tracing?.close()
}

function openRedis(url: string, log: Logger): { publisher: Redis; subscriber: Redis } {
  const retryStrategy = (attempt: number): number => Math.min(attempt * 50, 1000)
  const publisher = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 1000,
    retryStrategy,
  })
  const subscriber = new Redis(url, { autoResubscribe: false, maxRetriesPerRequest: null, retryStrategy })
  for (const connection of [publisher, subscriber]) {
    connection.on('error', (error: Error) => log.debug({ error: error.message }, 'Redis'))
  }
  return { publisher, subscriber }
}
