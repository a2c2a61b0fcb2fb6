import { formatSyncToken } from '../token.ts'
import type { SlidingAnswer } from './answer.ts'
import type { RoomResult } from './room-data.ts'
import { commonFields, extensionFields, unreadFields } from './unstable-form.ts'

/** An answer in the form of MSC4186 as it was accepted, as pieces of JSON text. */
export function v4Form(answer: SlidingAnswer): string[] {
  const lists = [...answer.counts].map(([name, count]) => `${JSON.stringify(name)}:{"count":${count}}`)
  return [
    `{"pos":"${formatSyncToken(answer.token)}","lists":{${lists.join(',')}},"rooms":{`,
    answer.rooms.map((room) => `${JSON.stringify(room.roomId)}:{${roomFields(room).join(',')}}`).join(','),
    `},"extensions":{${extensionFields(answer)}}}`,
  ]
}

function roomFields(room: RoomResult): string[] {
  const fields = [`"membership":"${room.membership}"`, ...commonFields(room)]
  if (room.lists.length > 0) fields.push(`"lists":${JSON.stringify(room.lists)}`)
  if (room.isExpanded) fields.push('"expanded_timeline":true')
  if (room.stripped) {
    fields.push(`"stripped_state":[${room.stripped.join(',')}]`)
    return fields
  }
  const state = [...room.required, ...room.removed.map((key) => JSON.stringify(key))]
  if (room.timeline.length > 0) fields.push(`"timeline_events":[${room.timeline.join(',')}]`)
  if (state.length > 0) fields.push(`"required_state":[${state.join(',')}]`)
  // Spec: MSC4186: messages of threads are not among them.
  if (room.counts) fields.push(unreadFields(room.counts.main))
  return fields
}
