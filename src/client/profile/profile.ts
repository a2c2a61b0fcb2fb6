import type { Requester } from '../../accounts/requesters.ts'
import { askForUser } from '../../application-services/query-services.ts'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { profileOf } from '../../profiles/read-profile.ts'
import { setProfileField } from '../../profiles/set-profile.ts'

const field = [
  '/_matrix/client/v3/profile/{userId}/{keyName}',
  '/_matrix/client/r0/profile/{userId}/{keyName}',
] as const
const params = { userId: parseUserId, keyName: parseKey }

function parseKey(text: string): string | undefined {
  return text !== '' && !text.includes('\0') ? text : undefined
}

/** Spec: Client-Server API, `GET /_matrix/client/v3/profile/{userId}` (v1.19). */
export const getUserProfile = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/profile/{userId}', '/_matrix/client/r0/profile/{userId}'],
  auth: 'optional',
  params: { userId: parseUserId },
  async handle(ctx, { params, requester }) {
    await askForUser(ctx, params.userId)
    return profileOf(ctx, params.userId, requester?.domain)
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/profile/{userId}/{keyName}` (v1.19). */
export const getProfileField = endpoint({
  method: 'get',
  path: field,
  auth: 'optional',
  params,
  async handle(ctx, { params, requester }) {
    await askForUser(ctx, params.userId)
    const profile = await profileOf(ctx, params.userId, requester?.domain)
    const value = Object.hasOwn(profile, params.keyName) ? profile[params.keyName] : undefined
    if (value !== undefined) return { [params.keyName]: value }
    throw new MatrixError('M_NOT_FOUND', 'The profile has no such field')
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/profile/{userId}/{keyName}` (v1.19). */
export const setOneProfileField = endpoint({
  method: 'put',
  path: field,
  auth: 'userOrGuest',
  params,
  body: anyObject,
  integers: 'any',
  async handle(ctx, { params, body, requester }) {
    refuseOthers(params.userId, requester)
    refuseGuests(requester, params.keyName)
    const value = Object.hasOwn(body, params.keyName) ? body[params.keyName] : undefined
    if (value === undefined) throw new MatrixError('M_MISSING_PARAM', `Missing: ${params.keyName}`)
    const isCleared = value === null || (value === '' && params.keyName !== 'displayname')
    await setProfileField(ctx, requester, params.keyName, isCleared ? undefined : value)
    return {}
  },
})

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/profile/{userId}/{keyName}` (v1.19). */
export const deleteProfileField = endpoint({
  method: 'delete',
  path: field,
  auth: 'userOrGuest',
  params,
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    refuseGuests(requester, params.keyName)
    await setProfileField(ctx, requester, params.keyName, undefined)
    return {}
  },
})

/** Spec: Client-Server API, "Guest Access": "Guest users may only modify their display name". */
function refuseGuests({ isGuest }: Requester, key: string): void {
  if (isGuest && key !== 'displayname') {
    throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may change their display name only')
  }
}

function refuseOthers(userId: string, requester: Requester): void {
  if (userId !== requester.userId) throw new MatrixError('M_FORBIDDEN', 'This is the profile of somebody else')
}
