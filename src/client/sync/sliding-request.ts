import type { Response } from 'express'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, type RoomId } from '../../matrix/ids.ts'
import { MAX_ROOM_SUBSCRIPTIONS } from '../../matrix/limits.ts'
import type { PresenceState } from '../../presence/person.ts'
import { answerSliding, type SlidingAnswer } from '../../sync/sliding/answer.ts'
import type { ListRequest, RoomRequest, SlidingRequest } from '../../sync/sliding/request.ts'

/** Milliseconds. Longer waits are cut, so that nobody holds a connection for ever. */
const longestTimeout = 300_000

type Call = {
  readonly requester: Requester
  readonly query: { readonly set_presence?: string }
  readonly response: Response
  readonly body: { readonly conn_id?: string | null; readonly extensions?: { readonly [name: string]: unknown } | null }
}

/** What the two forms say differently. */
type Said = {
  readonly pos: string | undefined
  readonly timeout: number | undefined
  readonly lists: readonly (readonly [name: string, list: ListRequest])[]
  readonly subscriptions: readonly (readonly [roomId: string, room: RoomRequest])[]
}

/** @throws MatrixError M_FORBIDDEN for who has no device; M_INVALID_PARAM for too much; M_UNKNOWN_POS. */
export async function slidingAnswerTo(ctx: Context, call: Call, said: Said): Promise<SlidingAnswer> {
  const { requester, response, body } = call
  if (requester.deviceId === undefined) throw new MatrixError('M_FORBIDDEN', 'Only a device can sync')
  if (said.subscriptions.length > MAX_ROOM_SUBSCRIPTIONS) {
    throw new MatrixError('M_INVALID_PARAM', `At most ${MAX_ROOM_SUBSCRIPTIONS} room subscriptions`)
  }
  const gone = new AbortController()
  // The request itself is closed as soon as its body is read.
  response.once('close', () => gone.abort())
  const rooms = said.subscriptions.flatMap(([roomId, room]): [RoomId, RoomRequest][] => {
    const parsed = parseRoomId(roomId)
    return parsed === undefined ? [] : [[parsed, room]]
  })
  const { userId, userNid, deviceId, domain } = requester
  const wanted: SlidingRequest = {
    reader: { userId, userNid, deviceId, domain },
    connId: body.conn_id ?? '',
    pos: said.pos,
    lists: new Map(said.lists),
    subscriptions: new Map(rooms),
    extensions: body.extensions ?? {},
  }
  const wait = () => answerSliding(ctx, wanted, Math.min(said.timeout ?? 0, longestTimeout), gone.signal)
  const presence = presenceStateOf(call.query.set_presence ?? 'online')
  return ctx.presence?.whileSyncing(requester, deviceId, presence, wait) ?? wait()
}

/** What is no state at all counts as saying nothing. */
function presenceStateOf(text: string): PresenceState {
  return text === 'offline' || text === 'unavailable' ? text : 'online'
}
