import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { filterOf } from '../../sync/filters.ts'
import type { StateStyle, SyncRequest } from '../../sync/sync.ts'
import { parseSyncToken } from '../../sync/token.ts'
import { waitForSync } from '../../sync/wait-for-sync.ts'

/** Milliseconds. Longer waits are cut, so that nobody holds a connection for ever. */
export const longestTimeout = 300_000

const flag = Type.Union([Type.Literal('true'), Type.Literal('false')])

/** Spec: Client-Server API, `GET /_matrix/client/v3/sync` (v1.19). */
export const sync = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/sync', '/_matrix/client/r0/sync'],
  auth: 'userOrGuest',
  query: Type.Object({
    filter: Type.Optional(Type.String()),
    since: Type.Optional(Type.String()),
    full_state: Type.Optional(flag),
    set_presence: Type.Optional(
      Type.Union([Type.Literal('offline'), Type.Literal('online'), Type.Literal('unavailable')]),
    ),
    timeout: Type.Optional(Type.Integer({ minimum: 0 })),
    use_state_after: Type.Optional(flag),
    'org.matrix.msc4222.use_state_after': Type.Optional(flag),
  }),
  async handle(ctx, { query, requester, request }) {
    if (requester.deviceId === undefined) throw new MatrixError('M_FORBIDDEN', 'Only a device can sync')
    const gone = new AbortController()
    request.once('close', () => gone.abort())
    const { userId, userNid, deviceId, domain } = requester
    const wanted: SyncRequest = {
      reader: { userId, userNid, deviceId, domain },
      since: query.since === undefined ? undefined : parseSyncToken(query.since),
      filter: await filterOf(ctx, userNid, query.filter),
      fullState: query.full_state === 'true',
      stateStyle: stateStyleOf(query),
    }
    const wait = () => waitForSync(ctx, wanted, Math.min(query.timeout ?? 0, longestTimeout), gone.signal)
    const presence = query.set_presence ?? 'online'
    const fragments = await (ctx.presence?.whileSyncing(requester, deviceId, presence, wait) ?? wait())
    return rawJson(fragments)
  },
})

function stateStyleOf(query: { [key: string]: unknown }): StateStyle {
  if (query.use_state_after === 'true') return 'state_after'
  return query['org.matrix.msc4222.use_state_after'] === 'true' ? 'org.matrix.msc4222.state_after' : 'state'
}
