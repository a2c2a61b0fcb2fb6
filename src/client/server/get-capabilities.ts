import { endpoint } from '../../http/endpoint.ts'
import { offeredRoomVersions } from '../../matrix/room-versions.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/capabilities` (v1.19). */
export const getCapabilities = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/capabilities', '/_matrix/client/r0/capabilities'],
  auth: 'user',
  handle(ctx, { requester }) {
    return {
      capabilities: {
        'm.change_password': { enabled: ctx.config.passwords.enabled },
        'm.room_versions': {
          default: ctx.config.rooms.default_version,
          available: Object.fromEntries(offeredRoomVersions(ctx.config.experimental)),
        },
        'm.set_displayname': { enabled: true },
        'm.set_avatar_url': { enabled: true },
        'm.3pid_changes': { enabled: ctx.mail !== undefined && ctx.config.mail.allow_changes },
        'm.get_login_token': { enabled: ctx.config.sessions.login_token_enabled },
        'm.profile_fields': { enabled: true },
        ...(requester.isAdmin && { 'm.account_moderation': { suspend: true, lock: true } }),
      },
    }
  },
})
