import type { Endpoint } from '../../http/endpoint.ts'
import { getNotifications } from './get-notifications.ts'
import { getPushers } from './get-pushers.ts'
import { postPusher } from './post-pusher.ts'

/** Spec: Client-Server API, "Push Notifications". */
export const pushEndpoints: readonly Endpoint[] = [getPushers, postPusher, getNotifications]
