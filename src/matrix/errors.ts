import type { JsonObject } from './json.ts'

/**
 * The standard error codes and the HTTP status each one implies, and those of proposals under their unstable names.
 *
 * Spec: Client-Server API, "Standard error response" (v1.19).
 */
const statusOf = {
  M_FORBIDDEN: 403,
  M_UNKNOWN_TOKEN: 401,
  M_MISSING_TOKEN: 401,
  M_UNAUTHORIZED: 401,
  M_USER_LOCKED: 401,
  M_USER_SUSPENDED: 403,
  M_USER_DEACTIVATED: 403,
  M_BAD_JSON: 400,
  M_NOT_JSON: 400,
  M_NOT_FOUND: 404,
  M_LIMIT_EXCEEDED: 429,
  M_UNRECOGNIZED: 404,
  M_UNKNOWN: 500,
  M_USER_IN_USE: 400,
  M_INVALID_USERNAME: 400,
  M_ROOM_IN_USE: 400,
  M_INVALID_ROOM_STATE: 400,
  M_THREEPID_IN_USE: 400,
  M_THREEPID_NOT_FOUND: 400,
  M_THREEPID_AUTH_FAILED: 400,
  M_THREEPID_DENIED: 403,
  M_THREEPID_MEDIUM_NOT_SUPPORTED: 400,
  M_SERVER_NOT_TRUSTED: 403,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_INCOMPATIBLE_ROOM_VERSION: 400,
  M_BAD_STATE: 400,
  M_BAD_ALIAS: 400,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_CAPTCHA_NEEDED: 401,
  M_CAPTCHA_INVALID: 401,
  M_MISSING_PARAM: 400,
  M_INVALID_PARAM: 400,
  M_INVALID_SIGNATURE: 400,
  M_TOO_LARGE: 413,
  M_EXCLUSIVE: 400,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: 403,
  M_WEAK_PASSWORD: 400,
  M_UNABLE_TO_AUTHORISE_JOIN: 400,
  M_UNABLE_TO_GRANT_JOIN: 400,
  M_DUPLICATE_ANNOTATION: 400,
  M_NOT_YET_UPLOADED: 504,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_WRONG_ROOM_KEYS_VERSION: 403,
  M_UNKNOWN_POS: 400,
  M_URL_NOT_SET: 400,
  M_BAD_STATUS: 400,
  M_CONNECTION_FAILED: 502,
  M_CONNECTION_TIMEOUT: 504,
  M_CONCURRENT_WRITE: 409,
  M_KEY_TOO_LARGE: 400,
  M_PROFILE_TOO_LARGE: 400,
  M_APPSERVICE_LOGIN_UNSUPPORTED: 400,
  M_UNKNOWN_DEVICE: 400,
  M_INVITE_BLOCKED: 403,
  M_PASSWORD_TOO_SHORT: 400,
  M_PASSWORD_NO_DIGIT: 400,
  M_PASSWORD_NO_LOWERCASE: 400,
  M_PASSWORD_NO_UPPERCASE: 400,
  M_PASSWORD_NO_SYMBOL: 400,
  IO_ELEMENT_MSC4388_CONCURRENT_WRITE: 409,
  'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD': 400,
  'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION': 409,
} as const

export type ErrorCode = keyof typeof statusOf

/**
 * What a caller must be told. Everything else that is thrown is a bug, and is answered `M_UNKNOWN` without detail.
 *
 * `status` and `extra` are given only where the specification departs from the table: a rarer status, or fields beside
 * `errcode` and `error` in the body.
 */
export class MatrixError extends Error {
  override readonly name = 'MatrixError'
  readonly errcode: ErrorCode
  readonly status: number
  readonly extra: JsonObject

  constructor(errcode: ErrorCode, message: string, options: { status?: number; extra?: JsonObject } = {}) {
    super(message)
    this.errcode = errcode
    this.status = options.status ?? statusOf[errcode]
    this.extra = options.extra ?? {}
  }

  /** The body of the response. */
  toJSON(): JsonObject {
    return { errcode: this.errcode, error: this.message, ...this.extra }
  }
}
