import { listDelayedEvents } from '../../delayed-events/schedule-event.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Spec: MSC4140, `GET /delayed_events`. */
export const getDelayedEvents = endpoint({
  method: 'get',
  path: '/_matrix/client/unstable/org.matrix.msc4140/delayed_events',
  auth: 'user',
  when: (config) => config.experimental.msc4140,
  rateLimit: { kind: 'delayed_events', by: 'user' },
  handle: (ctx, { requester }) => listDelayedEvents(ctx, requester.userNid),
})
