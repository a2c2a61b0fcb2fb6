import type { Endpoint } from '../../http/endpoint.ts'
import { getDelayedEvents } from './get-delayed-events.ts'
import { cancelDelayed, restartDelayed, sendDelayed, updateDelayed } from './update-delayed-event.ts'

/** Spec: MSC4140. */
export const delayedEventEndpoints: readonly Endpoint[] = [
  getDelayedEvents,
  updateDelayed,
  cancelDelayed,
  restartDelayed,
  sendDelayed,
]
