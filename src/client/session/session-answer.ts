import type { Session } from '../../accounts/sessions.ts'
import type { JsonObject } from '../../matrix/json.ts'

/** What a client is told when it logs in or registers. */
export function sessionAnswer(user: { userId: string; domain: string }, session: Session): JsonObject {
  return {
    user_id: user.userId,
    home_server: user.domain,
    access_token: session.accessToken,
    device_id: session.deviceId,
    ...tokenFields(session),
  }
}

export function tokenFields(session: Session): JsonObject {
  return {
    ...(session.refreshToken !== undefined && { refresh_token: session.refreshToken }),
    ...(session.expiresInMs !== undefined && { expires_in_ms: session.expiresInMs }),
  }
}
