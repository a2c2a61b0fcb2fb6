import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { quarantineChanges } from '../../storage/admin-media.ts'

/** As many as Synapse tells at once. */
const mostChanges = 100

/** What was taken out of use and put back, the oldest first; `next_batch` is where the next page begins, which may be empty yet. */
export const getQuarantineChanges = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/media/quarantine_changes',
  auth: 'admin',
  query: Type.Object({ from: Type.Optional(Type.Integer({ minimum: 0 })) }),
  async handle(ctx, { query: { from = 0 } }) {
    const rows = await ctx.database.read(quarantineChanges, [from, mostChanges])
    const changes = rows.map(({ server_name, media_id, quarantined }) => ({
      origin: server_name,
      media_id,
      quarantined,
    }))
    return { next_batch: rows.at(-1)?.change ?? from, changes }
  },
})
