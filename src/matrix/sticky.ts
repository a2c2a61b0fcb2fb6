import type { Pdu } from './event.ts'
import { MAX_STICKY_MS } from './limits.ts'

/** For how many milliseconds an event is sticky; undefined for other events. Spec: MSC4354. */
export function stickyDuration(pdu: Pick<Pdu, 'msc4354_sticky'>): number | undefined {
  const sticky = pdu.msc4354_sticky
  if (typeof sticky !== 'object' || sticky === null || Array.isArray(sticky)) return undefined
  const duration = (sticky as { readonly duration_ms?: unknown }).duration_ms
  if (typeof duration !== 'number' || !Number.isSafeInteger(duration) || duration < 0) return undefined
  return Math.min(duration, MAX_STICKY_MS)
}

/**
 * Until when an event is sticky, in milliseconds since the epoch. Whoever dates it in the future gains nothing.
 *
 * Spec: MSC4354: "The start time is `min(received_ts, origin_server_ts)`."
 */
export function stickyUntil(pdu: Pick<Pdu, 'msc4354_sticky' | 'origin_server_ts'>, receivedTs: number): number {
  const duration = stickyDuration(pdu)
  return duration === undefined ? 0 : Math.min(receivedTs, pdu.origin_server_ts) + duration
}
