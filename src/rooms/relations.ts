import type { EventId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'

/** What `m.relates_to` says. Spec: Client-Server API, "Forming relationships between events". */
export type Relation = { readonly relType: string; readonly eventId: EventId; readonly key: string | undefined }

const longestKey = 500

/** The relation of an event's content, or undefined when there is none that can be followed. */
export function relationOf(content: JsonObject): Relation | undefined {
  const relatesTo = content['m.relates_to']
  if (typeof relatesTo !== 'object' || relatesTo === null || Array.isArray(relatesTo)) return undefined
  const { rel_type: relType, event_id: eventId, key } = relatesTo as JsonObject
  if (typeof relType !== 'string' || typeof eventId !== 'string' || !eventId.startsWith('$')) return undefined
  if (relType.includes('\0') || relType.length > 255 || eventId.length > 255) return undefined
  const usable = typeof key === 'string' && key.length <= longestKey && !key.includes('\0')
  return { relType, eventId: eventId as EventId, key: usable ? key : undefined }
}
