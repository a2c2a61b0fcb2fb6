/**
 * Identifiers as template types. A value of one of these types has passed its `parse…` function, or was made by the
 * server itself.
 *
 * Spec: Appendices, "Identifier Grammar" (v1.19).
 */
export type ServerName = string & { readonly __serverName?: never }
export type UserId = `@${string}`
export type RoomId = `!${string}`
export type EventId = `$${string}`
export type RoomAlias = `#${string}`
