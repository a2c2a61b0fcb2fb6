import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type Statement, statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import { relationOf } from './relations.ts'

const longestAggregationKey = 500

type ParentRow = { room_id: string; is_thread_child: boolean; is_annotated: boolean }

const selectParent: Statement<ParentRow> = statement(
  'parent of a relation',
  `select r.room_id,
     exists (select 1 from event_relations x where x.event_nid = e.event_nid and x.relation = 'm.thread') as is_thread_child,
     exists (select 1 from event_relations a join events ae on ae.event_nid = a.event_nid and ae.redacted_by is null
       where a.room = e.room and a.parent = e.event_id and a.relation = 'm.annotation' and a.key = $2 and a.sender = $3
     ) as is_annotated
   from events e join rooms r using (room) where e.event_id = $1`,
)

/**
 * Refuses relations that clients may not make: to an event of another room, a thread inside a thread, the same reaction
 * twice. Nothing to check, nothing to wait for.
 *
 * Spec: Client-Server API, "Forming relationships between events", "Avoiding duplicate annotations", "Threading".
 *
 * @throws MatrixError M_INVALID_PARAM, M_UNKNOWN (400), M_DUPLICATE_ANNOTATION.
 */
export function checkRelation(
  ctx: Pick<Context, 'database'>,
  roomId: RoomId,
  content: JsonObject,
  sender: { readonly userNid: number },
): Promise<void> | undefined {
  const relatesTo = content['m.relates_to']
  if (relatesTo === undefined) return undefined
  const key = (relatesTo as JsonObject | null)?.key
  if (typeof key === 'string' && key.length > longestAggregationKey) {
    throw new MatrixError('M_INVALID_PARAM', `The aggregation key is longer than ${longestAggregationKey} characters`)
  }
  const relation = relationOf(content)
  if (!relation) return undefined
  const { relType, eventId } = relation
  return checkParent(ctx, roomId, sender.userNid, { relType, eventId, key: relation.key })
}

async function checkParent(
  ctx: Pick<Context, 'database'>,
  roomId: RoomId,
  senderNid: number,
  relation: { relType: string; eventId: EventId; key: string | undefined },
): Promise<void> {
  const [parent] = await ctx.database.read(selectParent, [
    eventIdBytes(relation.eventId),
    relation.key ?? null,
    senderNid,
  ])
  // One that is not known here may be in the room all the same, on another server.
  if (!parent) return
  if (parent.room_id !== roomId) throw new MatrixError('M_INVALID_PARAM', 'The related event is in another room')
  if (relation.relType === 'm.thread' && parent.is_thread_child) {
    throw new MatrixError('M_UNKNOWN', 'A thread cannot begin inside a thread', { status: 400 })
  }
  if (relation.relType === 'm.annotation' && parent.is_annotated) {
    throw new MatrixError('M_DUPLICATE_ANNOTATION', 'You have reacted with this already')
  }
}
