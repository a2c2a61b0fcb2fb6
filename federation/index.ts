import { LRUCache } from 'lru-cache'
import type { Config } from '../src/config.ts'
import type { Context } from '../src/context.ts'
import type { Endpoint } from '../src/http/endpoint.ts'
import { upTo } from '../src/storage/caches.ts'
import { createAllowList } from './allow-list.ts'
import type { Federation } from './federation.ts'
import { createFederationMetrics } from './federation-metrics.ts'
import { createJoining } from './joining.ts'
import { createServerKeys } from './keys/server-keys.ts'
import { createPartialRooms } from './partial-rooms/partial-rooms.ts'
import { createEarlyReceipts } from './receive/early-receipts.ts'
import { createPduChecks } from './receive/pdu-checks.ts'
import { createStagedEvents } from './receive/staged-events.ts'
import { createRemoteClient } from './remote/client.ts'
import { createPolicyServers } from './remote/policy-servers.ts'
import { createRemoteKeys } from './remote/remote-keys.ts'
import { createRemoteMedia } from './remote/remote-media.ts'
import { createRemoteServers } from './remote/remote-servers.ts'
import { createSender } from './sender/sender.ts'
import { endToEndKeys } from './server/end-to-end-keys.ts'
import { exchangeThirdPartyInvite } from './server/exchange-third-party-invite.ts'
import { getVersion } from './server/get-version.ts'
import { hierarchyOperations } from './server/hierarchy.ts'
import { inviteOperations } from './server/invite.ts'
import { mediaOperations } from './server/media.ts'
import { membershipOperations } from './server/membership.ts'
import { notary } from './server/notary.ts'
import { policySign } from './server/policy-sign.ts'
import { publicRoomsOperations } from './server/public-rooms.ts'
import { queries } from './server/queries.ts'
import { roomHistory } from './server/room-history.ts'
import { sendTransaction } from './server/send-transaction.ts'
import { createSilentServers } from './silent-servers.ts'

/** The server-server API of a deployment: what it serves to others, and what it does by itself. */
export type RunningFederation = {
  readonly endpoints: readonly Endpoint[]
  /** Takes over who is federated with; everything else stays as it was at the start. */
  reload(config: Pick<Config, 'federation'>): void
  close(): Promise<void>
}

const relayedMax = 10_000

/** @returns undefined while nobody is allowed: there is no federation then. */
export function createFederation(ctx: Context): RunningFederation | undefined {
  if (ctx.config.federation.allow.length === 0) return undefined
  const metrics = createFederationMetrics(ctx.metrics.registry)
  const allowList = createAllowList(ctx, metrics, ctx.config.federation)
  const silentServers = createSilentServers(ctx)
  const client = createRemoteClient(ctx, allowList, metrics, silentServers)
  const keys = createServerKeys(ctx, client, allowList)
  const federation: Federation = {
    ctx,
    allowList,
    client,
    metrics,
    keys,
    checks: createPduChecks({ ctx, allowList, keys }),
    policyServers: createPolicyServers({ ctx, client, metrics }),
    joining: createJoining(),
    earlyReceipts: createEarlyReceipts(ctx),
    relayed: new LRUCache(upTo(relayedMax)),
    passedOn: new LRUCache(upTo(relayedMax)),
    heardOf: [(server) => silentServers.heardOf(server)],
  }
  ctx.remoteServers.use(createRemoteServers(federation))
  ctx.deviceKeys.useRemote(createRemoteKeys(federation))
  ctx.media.useRemote(createRemoteMedia(federation))
  const sender = createSender(federation)
  const partial = createPartialRooms(federation)
  const staged = createStagedEvents(federation)
  federation.heardOf.push((server) => sender.heardOf(server))
  return {
    endpoints: [
      getVersion,
      sendTransaction(federation, staged),
      ...membershipOperations(federation),
      ...inviteOperations(federation),
      exchangeThirdPartyInvite(federation),
      ...roomHistory(federation),
      ...queries(federation),
      ...publicRoomsOperations(federation),
      ...hierarchyOperations(federation),
      ...mediaOperations(federation),
      ...notary(federation),
      ...policySign(federation),
      ...endToEndKeys(federation),
    ],
    reload: ({ federation: rules }) => allowList.replace(rules),
    async close() {
      await client.close()
      await Promise.all([sender.close(), partial.close(), staged.close()])
      await federation.checks.close()
    },
  }
}
