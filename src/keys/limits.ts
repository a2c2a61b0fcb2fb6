/** Limits on what clients upload for encryption; all ours, the specification sets none. */

/** Kinds of one-time keys that one device may have. */
export const MAX_KEY_ALGORITHMS = 16

/** Bytes of the JSON of one one-time or fallback key. */
export const MAX_ONE_TIME_KEY_BYTES = 2048

/** Bytes of canonical JSON of a device's identity keys, or of a cross-signing key. */
export const MAX_IDENTITY_KEY_BYTES = 16_384

/** Keys looked up or claimed by one request, counted in users and devices. */
export const MAX_QUERIED_DEVICES = 10_000

/** Signatures in one upload. */
export const MAX_UPLOADED_SIGNATURES = 1000

/** Bytes of the JSON of one key in a backup, without its numbers. */
export const MAX_BACKED_UP_KEY_BYTES = 65_536

/** Bytes of a request that stores many keys in a backup. */
export const MAX_BACKUP_REQUEST_BYTES = 10 * 1024 * 1024

/** Bytes of a request that sends messages to devices. */
export const MAX_TO_DEVICE_REQUEST_BYTES = 8 * 1024 * 1024

/** Messages that one request may become once `*` is resolved, and their bytes together. */
export const MAX_TO_DEVICE_MESSAGES = 10_000
export const MAX_TO_DEVICE_BYTES = 32 * 1024 * 1024

/** Milliseconds for which a claimed key is remembered, in case its device uploads it again. */
export const CLAIMED_KEYS_REMEMBERED_MS = 30 * 24 * 60 * 60 * 1000

/** Milliseconds a client may wait for other servers, and how long it does unless it says. */
export const MAX_REMOTE_TIMEOUT_MS = 30_000
export const DEFAULT_REMOTE_TIMEOUT_MS = 10_000
