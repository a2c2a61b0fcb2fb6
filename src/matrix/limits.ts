/**
 * The limits the protocol sets on what servers and clients exchange. What an operator may change is in the
 * configuration, not here.
 */

/** Bytes of canonical JSON, signatures included. Spec: Client-Server API, "Size limits". */
export const MAX_EVENT_BYTES = 65_536

/** UTF-8 bytes of a user id, room id, room alias, event id, event type or state key. Spec: Client-Server API, "Size limits". */
export const MAX_ID_BYTES = 255

/** UTF-8 bytes of a state key that begins with a user id: another key and an underscore fit behind it. Spec: MSC3757. */
export const MAX_OWNED_STATE_KEY_BYTES = 511

/** Bytes of a DNS name in a server name. Spec: Appendices, "Server Name". */
export const MAX_DNS_NAME_BYTES = 255

/** The largest integer canonical JSON can hold; the smallest is its negation. Spec: Appendices, "Canonical JSON". */
export const MAX_INTEGER = Number.MAX_SAFE_INTEGER

/** Objects and arrays within one another. Ours: the specification sets none, and every walk of a tree needs one. */
export const MAX_JSON_DEPTH = 100

/** Members of all objects of one JSON text together. Ours: a text of a million takes a second to parse. */
export const MAX_JSON_MEMBERS = 200_000

/** Spec: room versions, "Event format", `prev_events`. */
export const MAX_PREV_EVENTS = 20

/** Spec: room versions, "Event format", `auth_events`. */
export const MAX_AUTH_EVENTS = 10

/** Spec: room versions 6 and later, "Event format", `depth`. Held for all versions: larger values can stop a room. */
export const MAX_DEPTH = Number.MAX_SAFE_INTEGER

/** Spec: Server-Server API, "Transactions". */
export const MAX_TRANSACTION_PDUS = 50

/** Spec: Server-Server API, "Transactions". */
export const MAX_TRANSACTION_EDUS = 100

/** Spec: Server-Server API, `POST /get_missing_events`, whose default is 10; ours is the most we serve. */
export const MAX_MISSING_EVENTS = 20

/** Events in one answer to `GET /backfill`. Ours. */
export const MAX_BACKFILL_EVENTS = 100

/** Bytes of `/.well-known/matrix/server`. Spec: Server-Server API, "Resolving server names": servers may refuse large ones. */
export const MAX_WELL_KNOWN_BYTES = 50 * 1024

/** Milliseconds. Spec: Server-Server API, "Resolving server names": a cached answer is kept at most 48 hours. */
export const MAX_WELL_KNOWN_CACHE_MS = 48 * 60 * 60 * 1000

/** Milliseconds; a shorter life given by the answer is raised to this. Ours. */
export const MIN_WELL_KNOWN_CACHE_MS = 5 * 60 * 1000

/** Milliseconds a published signing key is believed, whatever it claims. Spec: room version 5, "Signing key validity period". */
export const MAX_KEY_VALIDITY_MS = 7 * 24 * 60 * 60 * 1000

/** Per user. Ours. */
export const MAX_PUSH_RULES = 10_000

/** Bytes of JSON of one push rule. Ours. */
export const MAX_PUSH_RULE_BYTES = 1024

/** Bytes of a pushkey. Spec: Client-Server API, `POST /pushers/set`. */
export const MAX_PUSHKEY_BYTES = 512

/** Characters of the `app_id` of a pusher. Spec: Client-Server API, `POST /pushers/set`. */
export const MAX_APP_ID_LENGTH = 64

/** Unclaimed keys per device and algorithm. Ours. */
export const MAX_ONE_TIME_KEYS = 500

/** Bytes of JSON of a stored filter. Ours. */
export const MAX_FILTER_BYTES = 64 * 1024

/** Events of one room's timeline in one answer. Ours. */
export const MAX_TIMELINE_EVENTS = 100

/** Lists in one request of a sliding sync. Spec: MSC4186. */
export const MAX_SLIDING_LISTS = 100

/** Characters of the name of a list, or of a connection. Spec: MSC4186: they are opaque identifiers. */
export const MAX_SLIDING_NAME = 255

/** Rooms that one request of a sliding sync subscribes to. Ours. */
export const MAX_ROOM_SUBSCRIPTIONS = 1000

/** Elements of `required_state`, ranges, and values of a filter of a sliding sync. Ours. */
export const MAX_SLIDING_ELEMENTS = 1000

/** Signatures tried on one third-party invite, which may bring hundreds of signatures and of keys. Ours. */
export const MAX_THIRD_PARTY_SIGNATURE_CHECKS = 100

/** Changes of thread subscriptions in one answer, where the client says nothing. Spec: MSC4308. */
export const DEFAULT_THREAD_CHANGES = 100

/** Changes of thread subscriptions in one answer. Ours. */
export const MAX_THREAD_CHANGES = 500

/** Bytes of JSON of a dehydrated device, whose keys take some hundred each. Ours. */
export const MAX_DEHYDRATED_DEVICE_BYTES = 64 * 1024

/** Bytes that two devices may tell each other at once where they meet. Spec: MSC4388, "Maximum payload size". */
export const MAX_RENDEZVOUS_BYTES = 4096

/** Milliseconds that two devices have to sign one of them in. Spec: MSC4388, "Maximum duration of a rendezvous". */
export const RENDEZVOUS_LIFETIME_MS = 5 * 60 * 1000

/** Meetings of devices at once. Ours. */
export const MAX_RENDEZVOUS_SESSIONS = 1000

/** Milliseconds for which an event is sticky at most. Spec: MSC4354. */
export const MAX_STICKY_MS = 3_600_000

/** Sticky events of a room that are told at once, the newest: nobody can fill the answers of everybody. Ours. */
export const MAX_STICKY_EVENTS = 200
