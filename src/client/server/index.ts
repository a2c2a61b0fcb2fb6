import type { Endpoint } from '../../http/endpoint.ts'
import { getCapabilities } from './get-capabilities.ts'
import { getPasswordPolicy } from './get-password-policy.ts'
import { getRetentionConfiguration } from './get-retention-configuration.ts'
import { getServerKey } from './get-server-key.ts'
import { getVersions } from './get-versions.ts'
import { getWellknown } from './get-wellknown.ts'
import { getWellknownPolicy } from './get-wellknown-policy.ts'
import { getWellknownServer } from './get-wellknown-server.ts'
import { getWellknownSupport } from './get-wellknown-support.ts'
import { getSharedSecretNonce, registerWithSharedSecret } from './shared-secret-register.ts'

/** What a client learns of the server itself, and how tools create users. */
export const serverEndpoints: readonly Endpoint[] = [
  getVersions,
  getCapabilities,
  getWellknown,
  getWellknownServer,
  getWellknownPolicy,
  getWellknownSupport,
  getServerKey,
  getPasswordPolicy,
  getRetentionConfiguration,
  getSharedSecretNonce,
  registerWithSharedSecret,
]
