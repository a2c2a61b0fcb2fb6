import { Type } from '@sinclair/typebox'
import { endpoint } from '../http/endpoint.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseServerName } from '../matrix/ids.ts'
import {
  destinationByName,
  destinationOrders,
  type ListedDestination,
  listDestinations as list,
  resetDestination,
  roomsOfDestination,
} from '../storage/admin-destinations.ts'
import { dir, from, limit, nextToken, text } from './schemas.ts'

const params = { destination: parseServerName }
const one = '/_synapse/admin/v1/federation/destinations/{destination}'

/** Servers that we send to, and whether they can be reached. */
export const listDestinations = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/federation/destinations',
  auth: 'admin',
  query: Type.Object({ from, limit, dir, order_by: Type.Optional(Type.String()), destination: Type.Optional(text) }),
  async handle(ctx, { query }) {
    const { from = 0, limit = 100, order_by: order = 'destination' } = query
    if (!Object.hasOwn(destinationOrders, order)) {
      throw new MatrixError('M_INVALID_PARAM', `Destinations cannot be ordered by ${order}`)
    }
    const { destinations, total } = await list(ctx.database.db, query.destination, {
      from,
      limit,
      backwards: query.dir === 'b',
      order: order as keyof typeof destinationOrders,
    })
    return { destinations: destinations.map(destinationAnswer), total, ...nextToken(from, destinations.length, total) }
  },
})

export const getDestination = endpoint({
  method: 'get',
  path: one,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const [row] = await ctx.database.read(destinationByName, [params.destination])
    if (!row) throw new MatrixError('M_NOT_FOUND', 'Nothing was ever sent to this server')
    return destinationAnswer(row)
  },
})

export const getDestinationRooms = endpoint({
  method: 'get',
  path: `${one}/rooms`,
  auth: 'admin',
  params,
  query: Type.Object({ from, limit }),
  async handle(ctx, { params, query }) {
    const { from = 0, limit = 100 } = query
    const { destination } = params as { destination: string }
    const rows = await ctx.database.read(roomsOfDestination, [destination, limit, from])
    const total = rows[0]?.count ?? 0
    return {
      rooms: rows.map(({ room_id, stream_ordering }) => ({ room_id, stream_ordering })),
      total,
      ...nextToken(from, rows.length, total),
    }
  },
})

/** Tries a server again at once that could not be reached. */
export const resetDestinationConnection = endpoint({
  method: 'post',
  path: `${one}/reset_connection`,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const { destination } = params as { destination: string }
    const [row] = await ctx.database.read(destinationByName, [destination])
    if (!row) throw new MatrixError('M_NOT_FOUND', 'Nothing was ever sent to this server')
    await ctx.database.read(resetDestination, [destination])
    ctx.invalidations.publish('destinations', destination)
    return {}
  },
})

function destinationAnswer(row: ListedDestination) {
  const isFailing = row.failures > 0
  return {
    destination: row.destination,
    retry_last_ts: isFailing ? row.retry_at : 0,
    retry_interval: row.failures,
    failure_ts: isFailing ? row.retry_at : null,
    last_successful_stream_ordering: row.acked_position,
  }
}
