import type { Endpoint } from '../../http/endpoint.ts'
import { defineFilter } from './define-filter.ts'
import { getEvents } from './get-events.ts'
import { getFilter } from './get-filter.ts'
import { initialSync } from './initial-sync.ts'
import { slidingSync } from './sliding-sync.ts'
import { slidingSyncV4 } from './sliding-sync-v4.ts'
import { sync } from './sync.ts'

/** Spec: Client-Server API, "Filtering", "Syncing". */
export const syncEndpoints: readonly Endpoint[] = [
  sync,
  slidingSync,
  slidingSyncV4,
  getEvents,
  initialSync,
  defineFilter,
  getFilter,
]
