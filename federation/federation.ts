import type { Context } from '../src/context.ts'
import type { AllowList } from './allow-list.ts'
import type { ServerKeys } from './keys/server-keys.ts'
import type { RemoteClient } from './remote/client.ts'

/** What the parts of federation work with: built once by `createFederation`. */
export type Federation = {
  readonly ctx: Context
  readonly allowList: AllowList
  readonly client: RemoteClient
  readonly keys: ServerKeys
}
