import type { RoomEvent } from '../event.ts'
import { parseUserId } from '../ids.ts'
import type { Json } from '../json.ts'
import { creatorsOf, type PowerLevels } from '../power-levels.ts'
import type { RoomRules } from '../room-versions.ts'
import { signingKeyIdsOf } from '../signatures.ts'
import { authorisingServer } from './required-signers.ts'
import { checkThirdPartyInvite } from './third-party-invite.ts'
import { ALLOW, type AuthState, reject, rejectMalformed, type Verdict } from './verdict.ts'

export type MembershipContext = {
  readonly state: AuthState
  readonly create: RoomEvent
  readonly levels: PowerLevels
  readonly rules: RoomRules
}

/** Spec: room versions, "Authorisation rules", 5 in the numbers of room version 12 (v1.19). */
export function checkMembership(event: RoomEvent, context: MembershipContext): Verdict {
  const { rules } = context
  const { state_key: target, content } = event.pdu
  // 5.1 "If there is no state_key property, or no membership property in content, reject."
  if (target === undefined || content.membership === undefined) return rejectMalformed('Not a membership of a user')
  // Not in the rules, but a target that is no user can have neither a membership nor a level.
  if (parseUserId(target) === undefined) return rejectMalformed('The state key is not a user id')
  // 5.2, from version 8 on: "If content has a join_authorised_via_users_server key: If the event is not validly signed by
  // the homeserver of the user ID denoted by the key, reject."
  if (rules.auth.restrictedJoin && Object.hasOwn(content, 'join_authorised_via_users_server')) {
    const server = authorisingServer(event, rules)
    if (server === undefined || signingKeyIdsOf(event.pdu, server).length === 0) {
      return reject('The server that authorised the join has not signed it')
    }
  }
  // 5.3 to 5.7
  switch (content.membership) {
    case 'join':
      return checkJoin(event, target, context)
    case 'invite':
      return checkInvite(event, target, context)
    case 'leave':
      return checkLeave(event, target, context)
    case 'ban':
      return checkBan(event, target, context)
    case 'knock':
      if (rules.auth.knock) return checkKnock(event, target, context)
  }
  // 5.8 "Otherwise, the membership is unknown. Reject."
  return rejectMalformed('The membership is not known')
}

/** 5.3 "If membership is join" */
function checkJoin(event: RoomEvent, target: string, context: MembershipContext): Verdict {
  const { state, create, rules } = context
  const { sender } = event.pdu
  // "If the only previous event is an m.room.create and the state_key is the creator, allow." From version 11 on, "the
  // sender of the m.room.create": additional creators must be invited as anybody else.
  const [onlyPrevious, ...others] = event.prevEvents
  if (onlyPrevious === create.eventId && others.length === 0 && creatorsOf(create, rules)[0] === target) return ALLOW
  // "If the sender does not match state_key, reject."
  if (sender !== target) return reject('Nobody joins for somebody else')
  // "If the sender is banned, reject."
  const membership = membershipOf(sender, state)
  if (membership === 'ban') return reject('The sender is banned')
  const joinRule = joinRuleOf(state)
  const isIn = membership === 'invite' || membership === 'join'
  // "If the join_rule is invite or knock then allow if membership state is invite or join." `knock` from version 7 on.
  if (joinRule === 'invite' || (joinRule === 'knock' && rules.auth.knock)) {
    return isIn ? ALLOW : reject('The sender is not invited')
  }
  // From version 8 on: "If the join_rule is restricted or knock_restricted". The latter from version 10 on.
  if (isRestricted(joinRule, rules)) {
    // "If membership state is join or invite, allow."
    if (isIn) return ALLOW
    // "If the join_authorised_via_users_server key in content is not a user with sufficient permission to invite other
    // users or is not a joined member of the room, reject. Otherwise, allow."
    return mayAuthoriseJoins(event.pdu.content.join_authorised_via_users_server, context)
      ? ALLOW
      : reject('Nobody who may invite has authorised the join')
  }
  // "If the join_rule is public, allow."
  if (joinRule === 'public') return ALLOW
  // "Otherwise, reject."
  return reject('The join rule does not let the sender in')
}

/** 5.4 "If membership is invite" */
function checkInvite(event: RoomEvent, target: string, { state, levels }: MembershipContext): Verdict {
  const { sender, content } = event.pdu
  const targetMembership = membershipOf(target, state)
  // "If content has a third_party_invite property"
  if (Object.hasOwn(content, 'third_party_invite')) {
    // "If target user is banned, reject."
    if (targetMembership === 'ban') return reject('The invited user is banned')
    return checkThirdPartyInvite(event, target, state)
  }
  // "If the sender's current membership state is not join, reject."
  if (membershipOf(sender, state) !== 'join') return reject('The sender is not in the room')
  // "If target user's current membership state is join or ban, reject."
  if (targetMembership === 'join') return reject('The invited user is in the room')
  if (targetMembership === 'ban') return reject('The invited user is banned')
  // "If the sender's power level is greater than or equal to the invite level, allow. Otherwise, reject."
  return levels.userLevel(sender) >= levels.invite ? ALLOW : reject('The sender may not invite')
}

/** 5.5 "If membership is leave" */
function checkLeave(event: RoomEvent, target: string, { state, levels, rules }: MembershipContext): Verdict {
  const { sender } = event.pdu
  const senderMembership = membershipOf(sender, state)
  // "If the sender matches state_key, allow if and only if that user's current membership state is invite, join, or
  // knock." `knock` from version 7 on.
  if (sender === target) {
    const isIn = senderMembership === 'invite' || senderMembership === 'join'
    return isIn || (senderMembership === 'knock' && rules.auth.knock) ? ALLOW : reject('The sender is not in the room')
  }
  // "If the sender's current membership state is not join, reject."
  if (senderMembership !== 'join') return reject('The sender is not in the room')
  // "If the target user's current membership state is ban, and the sender's power level is less than the ban level,
  // reject."
  const senderLevel = levels.userLevel(sender)
  if (membershipOf(target, state) === 'ban' && senderLevel < levels.ban) return reject('The sender may not unban')
  // "If the sender's power level is greater than or equal to the kick level, and the target user's power level is less
  // than the sender's power level, allow. Otherwise, reject."
  const mayKick = senderLevel >= levels.kick && levels.userLevel(target) < senderLevel
  return mayKick ? ALLOW : reject('The sender may not remove the user')
}

/** 5.6 "If membership is ban" */
function checkBan(event: RoomEvent, target: string, { state, levels }: MembershipContext): Verdict {
  const { sender } = event.pdu
  // "If the sender's current membership state is not join, reject."
  if (membershipOf(sender, state) !== 'join') return reject('The sender is not in the room')
  // "If the sender's power level is greater than or equal to the ban level, and the target user's power level is less
  // than the sender's power level, allow. Otherwise, reject."
  const senderLevel = levels.userLevel(sender)
  const mayBan = senderLevel >= levels.ban && levels.userLevel(target) < senderLevel
  return mayBan ? ALLOW : reject('The sender may not ban the user')
}

/** 5.7, from version 7 on: "If membership is knock" */
function checkKnock(event: RoomEvent, target: string, { state, rules }: MembershipContext): Verdict {
  const { sender } = event.pdu
  // "If the join_rule is anything other than knock or knock_restricted, reject." The latter from version 10 on.
  const joinRule = joinRuleOf(state)
  const mayKnock = joinRule === 'knock' || (joinRule === 'knock_restricted' && rules.auth.knockRestricted)
  if (!mayKnock) return reject('The join rule does not let anybody knock')
  // "If sender does not match state_key, reject."
  if (sender !== target) return reject('Nobody knocks for somebody else')
  // "If the sender's current membership is not ban, invite, or join, allow. Otherwise, reject."
  const membership = membershipOf(sender, state)
  const isOutside = membership !== 'ban' && membership !== 'invite' && membership !== 'join'
  return isOutside ? ALLOW : reject(`The sender's membership is ${membership}`)
}

function isRestricted(joinRule: Json, rules: RoomRules): boolean {
  if (joinRule === 'restricted') return rules.auth.restrictedJoin
  return joinRule === 'knock_restricted' && rules.auth.knockRestricted
}

function mayAuthoriseJoins(userId: Json | undefined, { state, levels }: MembershipContext): boolean {
  if (typeof userId !== 'string') return false
  return membershipOf(userId, state) === 'join' && levels.userLevel(userId) >= levels.invite
}

function membershipOf(userId: string, state: AuthState): Json | undefined {
  return state.get('m.room.member', userId)?.pdu.content.membership
}

/** Without one the room is by invitation; one that is no text is a rule we do not know. */
function joinRuleOf(state: AuthState): Json {
  const joinRule = state.get('m.room.join_rules', '')?.pdu.content.join_rule
  return joinRule === undefined ? 'invite' : joinRule
}
