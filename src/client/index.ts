import type { Endpoint } from '../http/endpoint.ts'
import { accountEndpoints } from './account/index.ts'
import { applicationServiceEndpoints } from './application-services/index.ts'
import { delayedEventEndpoints } from './delayed-events/index.ts'
import { deviceEndpoints } from './devices/index.ts'
import { directoryEndpoints } from './directory/index.ts'
import { keyEndpoints } from './keys/index.ts'
import { mediaEndpoints } from './media/index.ts'
import { membershipEndpoints } from './membership/index.ts'
import { moderationEndpoints } from './moderation/index.ts'
import { openIdEndpoints } from './openid/index.ts'
import { presenceEndpoints } from './presence/index.ts'
import { profileEndpoints } from './profile/index.ts'
import { pushEndpoints } from './push/index.ts'
import { pushRuleEndpoints } from './push-rules/index.ts'
import { receiptEndpoints } from './receipts/index.ts'
import { roomEndpoints } from './rooms/index.ts'
import { searchEndpoints } from './search/index.ts'
import { serverEndpoints } from './server/index.ts'
import { sessionEndpoints } from './session/index.ts'
import { spaceEndpoints } from './spaces/index.ts'
import { syncEndpoints } from './sync/index.ts'
import { thirdPartyEndpoints } from './third-party/index.ts'
import { thirdPartyIdEndpoints } from './third-party-ids/index.ts'
import { threadEndpoints } from './threads/index.ts'
import { toDeviceEndpoints } from './to-device/index.ts'
import { userDataEndpoints } from './user-data/index.ts'
import { userDirectoryEndpoints } from './user-directory/index.ts'
import { voipEndpoints } from './voip/index.ts'

/** Every operation of the client-server API that is served, a list per section of the specification. */
export const endpoints: readonly Endpoint[] = [
  ...serverEndpoints,
  ...sessionEndpoints,
  ...accountEndpoints,
  ...deviceEndpoints,
  ...roomEndpoints,
  ...membershipEndpoints,
  ...syncEndpoints,
  ...userDataEndpoints,
  ...receiptEndpoints,
  ...profileEndpoints,
  ...pushRuleEndpoints,
  ...pushEndpoints,
  ...directoryEndpoints,
  ...keyEndpoints,
  ...toDeviceEndpoints,
  ...mediaEndpoints,
  ...userDirectoryEndpoints,
  ...spaceEndpoints,
  ...moderationEndpoints,
  ...openIdEndpoints,
  ...presenceEndpoints,
  ...searchEndpoints,
  ...thirdPartyEndpoints,
  ...thirdPartyIdEndpoints,
  ...applicationServiceEndpoints,
  ...voipEndpoints,
  ...delayedEventEndpoints,
  ...threadEndpoints,
]
