import type { Endpoint } from '../../http/endpoint.ts'
import { changePassword } from './change-password.ts'
import { checkUsernameAvailability } from './check-username-availability.ts'
import { deactivateAccount } from './deactivate-account.ts'
import { getAccount3PIDs } from './get-account-3pids.ts'
import { getTokenOwner } from './get-token-owner.ts'
import { register } from './register.ts'
import { registrationTokenValidity } from './registration-token-validity.ts'

/** Spec: Client-Server API, "Account registration and management". */
export const accountEndpoints: readonly Endpoint[] = [
  register,
  checkUsernameAvailability,
  registrationTokenValidity,
  getTokenOwner,
  changePassword,
  deactivateAccount,
  getAccount3PIDs,
]
