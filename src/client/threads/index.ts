import type { Endpoint } from '../../http/endpoint.ts'
import { getThreadSubscriptions } from './get-thread-subscriptions.ts'
import { deleteThreadSubscription, getThreadSubscription, putThreadSubscription } from './thread-subscription.ts'

/** Spec: MSC4306, MSC4308. */
export const threadEndpoints: readonly Endpoint[] = [
  getThreadSubscription,
  putThreadSubscription,
  deleteThreadSubscription,
  getThreadSubscriptions,
]
