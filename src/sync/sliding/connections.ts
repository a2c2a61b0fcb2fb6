import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { upTo } from '../../storage/caches.ts'
import { saveSlidingState, slidingState } from '../../storage/sliding-sync.ts'
import { type ConnectionState, decodeConnection, encodeConnection, newConnection } from './connection.ts'
import { createToldMembers, type ToldMembersOfConnection } from './told-members.ts'

export type ConnectionKey = { readonly userNid: number; readonly deviceId: string; readonly connId: string }

/**
 * What connections have been told. In the database, so that any process knows the tokens of any other, and clients go on
 * after a restart; in memory for the process that gave the token out.
 */
export type Connections = {
  /** @throws MatrixError M_UNKNOWN_POS for a state that is not, or no longer, the connection's. */
  load(key: ConnectionKey, state: number): Promise<ConnectionState>
  /** Keeps what follows `base`, and what was before `base` no longer. @returns the number to come back with. */
  save(key: ConnectionKey, base: number, next: ConnectionState): Promise<number>
  toldMembers(key: ConnectionKey): ToldMembersOfConnection
}

/** Beside the one in use; a client has two or three. */
const otherConnections = 7
/** Entries of rooms of all connections together. */
const roomsInMemory = 1_000_000
const connectionsWithMembers = 20_000

export function createConnections(ctx: Pick<Context, 'database' | 'caches'>): Connections {
  const states = ctx.caches.lru<number, { key: string; state: ConnectionState }>('sliding sync connections', {
    maxSize: roomsInMemory,
    sizeCalculation: ({ state }) => state.rooms.size + 1,
  })
  const members = ctx.caches.lru<string, ToldMembersOfConnection>(
    'members told by sliding sync',
    upTo(connectionsWithMembers),
  )
  return {
    async load(key, number) {
      // Nothing was told of any room, so nothing was kept.
      if (number === 0) return newConnection
      const known = states.get(number)
      if (known?.key === keyText(key)) return known.state
      const [row] = await ctx.database.read(slidingState, [key.userNid, key.deviceId, key.connId, number])
      if (!row) throw unknownPos()
      const state = decodeConnection(row.content)
      states.set(number, { key: keyText(key), state })
      return state
    },
    async save(key, base, next) {
      const { userNid, deviceId, connId } = key
      const content = encodeConnection(next)
      const [row] = await ctx.database.read(saveSlidingState, [
        userNid,
        deviceId,
        connId,
        base,
        content,
        otherConnections,
      ])
      if (!row) throw new MatrixError('M_UNKNOWN_TOKEN', 'The device has logged out')
      states.set(row.state, { key: keyText(key), state: next })
      return row.state
    },
    toldMembers(key) {
      const text = keyText(key)
      let told = members.get(text)
      if (!told) members.set(text, (told = createToldMembers()))
      return told
    },
  }
}

export function unknownPos(): MatrixError {
  return new MatrixError('M_UNKNOWN_POS', 'Unknown position: begin anew')
}

function keyText({ userNid, deviceId, connId }: ConnectionKey): string {
  return `${userNid} ${deviceId} ${connId}`
}
