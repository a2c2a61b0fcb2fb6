import type { Endpoint } from '../../http/endpoint.ts'
import { add3PID } from './add-3pid.ts'
import { bind3PID, post3PIDs, unbind3pidFromAccount } from './bind-3pid.ts'
import { delete3pidFromAccount } from './delete-3pid.ts'
import { onBindThirdPartyIdentifier } from './on-bind.ts'
import * as requests from './request-token.ts'
import { getSubmitToken, submitToken } from './submit-token.ts'
import { getUnsubscribe, unsubscribe } from './unsubscribe.ts'

/** Spec: Client-Server API, "Adding account administrative contact information", "Account registration and management". */
export const thirdPartyIdEndpoints: readonly Endpoint[] = [
  requests.requestTokenToRegisterEmail,
  requests.requestTokenToRegisterMSISDN,
  requests.requestTokenToResetPasswordEmail,
  requests.requestTokenToResetPasswordMSISDN,
  requests.requestTokenTo3PIDEmail,
  requests.requestTokenTo3PIDMSISDN,
  getSubmitToken,
  submitToken,
  getUnsubscribe,
  unsubscribe,
  add3PID,
  delete3pidFromAccount,
  bind3PID,
  post3PIDs,
  unbind3pidFromAccount,
  onBindThirdPartyIdentifier,
]
