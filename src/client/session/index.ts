import type { Endpoint } from '../../http/endpoint.ts'
import { generateLoginToken } from './generate-login-token.ts'
import { getLoginFlows } from './get-login-flows.ts'
import { login } from './login.ts'
import { logout } from './logout.ts'
import { logoutAll } from './logout-all.ts'
import { refresh } from './refresh.ts'

/** Spec: Client-Server API, "Login", "Refreshing access tokens", "Logout". */
export const sessionEndpoints: readonly Endpoint[] = [
  getLoginFlows,
  login,
  generateLoginToken,
  refresh,
  logout,
  logoutAll,
]
