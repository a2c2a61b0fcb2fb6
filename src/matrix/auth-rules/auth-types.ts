import type { JsonObject } from '../json.ts'
import type { RoomRules } from '../room-versions.ts'

export type AuthTypesInput = {
  readonly type: string
  readonly sender: string
  readonly stateKey?: string | undefined
  readonly content: JsonObject
}

/**
 * The keys of the state that give an event its authority: what its `auth_events` are selected from, without duplicates.
 * The create event has none.
 *
 * Spec: Server-Server API, "Auth events selection" (v1.19).
 */
export function authTypesFor(event: AuthTypesInput, rules: RoomRules): readonly (readonly [string, string])[] {
  if (event.type === 'm.room.create') return []
  const types: (readonly [string, string])[] = []
  // "Depending on the room version, the m.room.create event."
  if (!rules.createEventIsRoomId) types.push(['m.room.create', ''])
  // "The current m.room.power_levels event, if any."
  types.push(['m.room.power_levels', ''])
  // "The sender's current m.room.member event, if any."
  types.push(['m.room.member', event.sender])
  if (event.type === 'm.room.member') addMemberTypes(types, event, rules)
  return types
}

function addMemberTypes(types: (readonly [string, string])[], event: AuthTypesInput, rules: RoomRules): void {
  const { content, sender, stateKey } = event
  const { membership } = content
  // "The target's current m.room.member event, if any."
  if (stateKey !== undefined && stateKey !== sender) types.push(['m.room.member', stateKey])
  // "If membership is join, invite or knock, the current m.room.join_rules event, if any."
  if (membership === 'join' || membership === 'invite' || (membership === 'knock' && rules.auth.knock)) {
    types.push(['m.room.join_rules', ''])
  }
  // "If membership is invite and content contains a third_party_invite property, the current m.room.third_party_invite
  // event with state_key matching content.third_party_invite.signed.token, if any."
  const token = membership === 'invite' ? thirdPartyToken(content) : undefined
  if (token !== undefined) types.push(['m.room.third_party_invite', token])
  // "If membership is join, content.join_authorised_via_users_server is present, and the room version supports
  // restricted rooms, then the m.room.member event with state_key matching content.join_authorised_via_users_server."
  const authoriser = content.join_authorised_via_users_server
  if (membership !== 'join' || !rules.auth.restrictedJoin || typeof authoriser !== 'string') return
  if (authoriser !== sender && authoriser !== stateKey) types.push(['m.room.member', authoriser])
}

function thirdPartyToken(content: JsonObject): string | undefined {
  const invite = content.third_party_invite
  if (typeof invite !== 'object' || invite === null || Array.isArray(invite)) return undefined
  const signed = (invite as JsonObject).signed
  if (typeof signed !== 'object' || signed === null || Array.isArray(signed)) return undefined
  const token = (signed as JsonObject).token
  return typeof token === 'string' ? token : undefined
}
