import type { LRUCache } from 'lru-cache'
import type { Context } from '../src/context.ts'
import type { EventId, ServerName } from '../src/matrix/ids.ts'
import type { AllowList } from './allow-list.ts'
import type { FederationMetrics } from './federation-metrics.ts'
import type { Joining } from './joining.ts'
import type { ServerKeys } from './keys/server-keys.ts'
import type { EarlyReceipts } from './receive/early-receipts.ts'
import type { PduChecks } from './receive/pdu-checks.ts'
import type { RemoteClient } from './remote/client.ts'
import type { PolicyServers } from './remote/policy-servers.ts'

/** What the parts of federation work with: built once by `createFederation`. */
export type Federation = {
  readonly ctx: Context
  readonly allowList: AllowList
  readonly client: RemoteClient
  readonly metrics: FederationMetrics
  readonly keys: ServerKeys
  readonly checks: PduChecks
  readonly policyServers: PolicyServers
  readonly joining: Joining
  readonly earlyReceipts: EarlyReceipts
  /** Events that came in through a domain of ours alone, lately, and which one that is. */
  readonly relayed: LRUCache<EventId, ServerName>
  /** Our users' joins that another server has taken in lately, and passes on to the rest of the room. */
  readonly passedOn: LRUCache<EventId, true>
  /** Whoever wants to know that a server has shown itself. */
  readonly heardOf: ((server: ServerName) => void)[]
}
