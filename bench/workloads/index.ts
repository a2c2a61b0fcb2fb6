import { accounts } from './accounts.ts'
import { devices } from './devices.ts'
import { federation } from './federation.ts'
import { media } from './media.ts'
import { polls } from './polls.ts'
import { rooms } from './rooms.ts'
import { sending } from './sending.ts'
import { syncing } from './syncing.ts'
import { waking } from './waking.ts'
import type { Workload } from './workload.ts'

/** In this order: what fills the server is last. */
export const workloads: readonly Workload[] = [
  ...sending,
  ...waking,
  ...syncing,
  ...rooms,
  ...devices,
  ...federation,
  ...media,
  ...accounts,
  ...polls,
]
